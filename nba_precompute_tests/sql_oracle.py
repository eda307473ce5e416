"""A second implementation of the nine tables, in plain SQL, to judge the first by.

Belongs here: every rule of design/TABLES.md, written for being obviously right rather than fast.
Does not belong here: anything imported from `nba_precompute`; two implementations that share code share its faults.
Where the text says "latest", rows are numbered backwards from the day (`nth_last` = 1 is the latest) and filtered.
"""

import unicodedata
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import duckdb
import pandas as pd

GAME_SUMMARIES = ("player_game_summary", "team_offense_game_summary", "team_defense_game_summary")

_REQUIRED_FILES = ("player_box_scores", "shots", "schedule")

# The columns an absent optional file would have had, so that the rest of the SQL need not know that it is absent.
_OPTIONAL_FILES = {
    "game_lines": "NULL::VARCHAR AS game_id, NULL::DOUBLE AS spread_home, NULL::DOUBLE AS total",
    "injury_transactions": "NULL::DATE AS date, NULL::INTEGER AS player_id, NULL::VARCHAR AS status, "
    "NULL::VARCHAR AS note, NULL::BIGINT AS file_row_number",
    "player_points_props": "NULL::VARCHAR AS game_id, NULL::INTEGER AS player_id, NULL::VARCHAR AS bookmaker, "
    "NULL::DOUBLE AS line, NULL::INTEGER AS american_over, NULL::INTEGER AS american_under, "
    "NULL::TIMESTAMP AS snapshot_file_time",
    "players": "NULL::INTEGER AS player_id, NULL::DATE AS birth_date",
}

# ---------------------------------------------------------------------------------------------------------- macros

_MACROS = """
-- A sum with a part missing is missing; SQL's own would take the part for a zero.
CREATE MACRO total(x) AS CASE WHEN count(x) = count(*) THEN sum(x) END;
CREATE MACRO ratio(a, b) AS a::DOUBLE / nullif(b::DOUBLE, 0);
CREATE MACRO clamp(x, low, high) AS CASE WHEN x IS NOT NULL THEN least(greatest(x, low), high) END;

-- A value within 1e-9 of a threshold is on it.
CREATE MACRO at_least(x, threshold) AS x >= threshold - 1e-9;
CREATE MACRO at_most(x, threshold) AS x <= threshold + 1e-9;
CREATE MACRO above(x, threshold) AS x > threshold + 1e-9;

CREATE MACRO used(fga, fta, tov) AS fga + 0.44::DOUBLE * fta + tov;
CREATE MACRO usage(fga, fta, tov, seconds, team_fga, team_fta, team_tov, team_seconds) AS
    ratio(100 * used(fga, fta, tov) * (team_seconds / 60 / 5), seconds / 60 * used(team_fga, team_fta, team_tov));
CREATE MACRO implied_probability(american) AS
    CASE WHEN american < 0 THEN -american / (100 - american) ELSE 100 / (100 + american) END;
"""

# ----------------------------------------------------------------------------------------- what happened (all days)

_FACTS = """
CREATE TABLE game AS
SELECT game_id, substr(game_id, 3, 1) AS game_type, season, season_type, game_date::DATE AS game_date,
       epoch_us(start_utc) AS start_us, home_team, away_team
FROM schedule;

CREATE TABLE season AS
SELECT season, min(game_date) AS season_start FROM game WHERE game_type = '2' GROUP BY season;

CREATE TABLE team_schedule AS
SELECT game_id, game_type, season, game_date, start_us,
       home_team AS team_abbr, away_team AS opponent_team_abbr, true AS is_home FROM game
UNION ALL
SELECT game_id, game_type, season, game_date, start_us, away_team, home_team, false FROM game;

-- Raw box scores of all types: what rest and load are read from.
CREATE TABLE appearance AS
SELECT * REPLACE (game_date::DATE AS game_date),
       substr(game_id, 3, 1) AS game_type,
       round(minutes::DOUBLE * 60)::BIGINT AS seconds
FROM player_box_scores;

-- Cup finals make no partition of any table, so they neither promise nor break a day.
CREATE TABLE unpublished_day AS
SELECT a.game_date
FROM appearance a LEFT JOIN game g USING (game_id)
WHERE a.game_type IN ('2', '4', '5')
  AND (a.pts <> 2 * a.fgm + a.fg3m + a.ftm
       OR a.fgm > a.fga OR a.fg3m > a.fg3a OR a.ftm > a.fta
       OR a.minutes NOT BETWEEN 0 AND 70
       OR g.game_id IS NULL OR a.team NOT IN (g.home_team, g.away_team))
UNION
SELECT any_value(game_date) FROM appearance
WHERE game_type IN ('2', '4', '5') GROUP BY game_id, player_id HAVING count(*) > 1
UNION
SELECT game_date FROM game
WHERE game_type IN ('2', '4', '5') AND game_id NOT IN (SELECT game_id FROM appearance);

CREATE TABLE box AS
SELECT a.*, t.opponent_team_abbr, t.is_home AS at_home
FROM appearance a
JOIN team_schedule t ON t.game_id = a.game_id AND t.team_abbr = a.team
WHERE a.game_type IN ('2', '4', '5') AND a.game_date NOT IN (SELECT game_date FROM unpublished_day);

CREATE TABLE team_box AS
SELECT game_id, team, total(pts) AS points, total(seconds) AS seconds,
       total(fga) AS fga, total(fta) AS fta, total(tov) AS tov
FROM box GROUP BY game_id, team;

CREATE TABLE zone_count AS
SELECT game_id, player_id,
       count(*) FILTER (place = 'paint') AS paint_attempts,
       count(*) FILTER (place = 'paint' AND made) AS paint_makes,
       count(*) FILTER (place = 'mid_range') AS mid_range_attempts,
       count(*) FILTER (place = 'mid_range' AND made) AS mid_range_makes,
       count(*) FILTER (place = 'three') AS three_zone_attempts,
       count(*) FILTER (place = 'three' AND made) AS three_zone_makes,
       count(*) FILTER (made) AS makes,
       count(*) FILTER (made AND assisted) AS assisted_makes,
       count(*) FILTER (made AND NOT assisted) AS unassisted_makes
FROM (SELECT *, CASE WHEN is_three THEN 'three'
                     WHEN zone IN ('Restricted Area', 'In The Paint (Non-RA)') THEN 'paint'
                     ELSE 'mid_range' END AS place
      FROM shots)
GROUP BY game_id, player_id;

-- The part of a player's game that is needed to take usage over several games, and the row of the table itself.
CREATE TABLE player_game AS
WITH counted AS (
    SELECT b.*,
           own.points AS team_points, other.points AS opponent_points, own.seconds AS team_seconds,
           own.fga AS team_fga, own.fta AS team_fta, own.tov AS team_tov,
           coalesce(z.paint_attempts, 0) AS paint_a, coalesce(z.paint_makes, 0) AS paint_m,
           coalesce(z.mid_range_attempts, 0) AS mid_a, coalesce(z.mid_range_makes, 0) AS mid_m,
           coalesce(z.three_zone_attempts, 0) AS three_a, coalesce(z.three_zone_makes, 0) AS three_m,
           coalesce(z.makes, 0) AS makes_with_shot,
           coalesce(z.assisted_makes, 0) AS assisted_m, coalesce(z.unassisted_makes, 0) AS unassisted_m,
           coalesce(b.game_id IN (SELECT game_id FROM shots)
                    AND paint_a + mid_a + three_a = b.fga
                    AND three_a = b.fg3a, false) AS complete,
           makes_with_shot = b.fgm AND assisted_m + unassisted_m = b.fgm AS all_makes_told
    FROM box b
    JOIN team_box own ON own.game_id = b.game_id AND own.team = b.team
    LEFT JOIN team_box other ON other.game_id = b.game_id AND other.team = b.opponent_team_abbr
    LEFT JOIN zone_count z ON z.game_id = b.game_id AND z.player_id = b.player_id
)
SELECT c.game_id, c.game_date, c.season, c.season_type, c.player_id,
       n.player_lookup,
       c.player_name,
       c.team AS team_abbr, c.opponent_team_abbr, c.at_home AS is_home,
       c.team_points > c.opponent_points AS win_flag,
       c.starter,
       c.seconds / 60 AS minutes_played,
       c.pts::INTEGER AS points,
       c.fgm::INTEGER AS fg_makes, c.fga::INTEGER AS fg_attempts,
       c.fg3m::INTEGER AS three_pt_makes, c.fg3a::INTEGER AS three_pt_attempts,
       c.ftm::INTEGER AS ft_makes, c.fta::INTEGER AS ft_attempts,
       c.oreb::INTEGER AS offensive_rebounds, c.dreb::INTEGER AS defensive_rebounds, c.reb::INTEGER AS rebounds,
       c.ast::INTEGER AS assists, c.stl::INTEGER AS steals, c.blk::INTEGER AS blocks,
       c.tov::INTEGER AS turnovers, c.pf::INTEGER AS personal_fouls, c.plus_minus::INTEGER AS plus_minus,
       CASE WHEN c.complete THEN c.paint_m END::INTEGER AS paint_makes,
       CASE WHEN c.complete THEN c.paint_a END::INTEGER AS paint_attempts,
       CASE WHEN c.complete THEN c.mid_m END::INTEGER AS mid_range_makes,
       CASE WHEN c.complete THEN c.mid_a END::INTEGER AS mid_range_attempts,
       CASE WHEN c.complete THEN c.three_m END::INTEGER AS three_zone_makes,
       CASE WHEN c.complete THEN c.three_a END::INTEGER AS three_zone_attempts,
       c.complete AS has_complete_shot_zones,
       CASE WHEN c.fgm = 0 THEN 0 WHEN c.all_makes_told THEN c.assisted_m END::INTEGER AS assisted_fg_makes,
       CASE WHEN c.fgm = 0 THEN 0 WHEN c.all_makes_told THEN c.unassisted_m END::INTEGER AS unassisted_fg_makes,
       usage(c.fga, c.fta, c.tov, c.seconds, c.team_fga, c.team_fta, c.team_tov, c.team_seconds) AS usage_rate,
       ratio(c.pts, 2 * (c.fga + 0.44::DOUBLE * c.fta)) AS ts_pct,
       ratio(c.fgm + 0.5::DOUBLE * c.fg3m, c.fga) AS efg_pct,
       c.seconds, c.team_seconds, c.team_fga, c.team_fta, c.team_tov
FROM counted c JOIN player_lookup n ON n.player_name IS NOT DISTINCT FROM c.player_name;

CREATE TABLE player_game_summary AS
SELECT * EXCLUDE (seconds, team_seconds, team_fga, team_fta, team_tov) FROM player_game;

CREATE TABLE team_offense_game_summary AS
WITH side AS (
    SELECT game_id, game_date, season, season_type, team_abbr, opponent_team_abbr, is_home, any_value(win_flag) AS won,
           total(points) AS points, total(fg_makes) AS fgm, total(fg_attempts) AS fga,
           total(three_pt_makes) AS fg3m, total(three_pt_attempts) AS fg3a,
           total(ft_makes) AS ftm, total(ft_attempts) AS fta,
           total(offensive_rebounds) AS oreb, total(turnovers) AS tov, total(assists) AS ast,
           total(paint_makes) AS paint_m, total(paint_attempts) AS paint_a,
           total(mid_range_makes) AS mid_m, total(mid_range_attempts) AS mid_a,
           total(three_zone_makes) AS three_m, total(three_zone_attempts) AS three_a,
           bool_and(has_complete_shot_zones) AS complete,
           used(total(fg_attempts), total(ft_attempts), total(turnovers)) - total(offensive_rebounds) AS possessions,
           total(seconds) / 60 AS minutes
    FROM player_game
    GROUP BY ALL
)
SELECT own.game_id, own.game_date, own.season, own.season_type, own.team_abbr, own.opponent_team_abbr, own.is_home,
       own.won AS win_flag,
       own.points::INTEGER AS points_scored,
       own.fgm::INTEGER AS fg_makes, own.fga::INTEGER AS fg_attempts,
       own.fg3m::INTEGER AS three_pt_makes, own.fg3a::INTEGER AS three_pt_attempts,
       own.ftm::INTEGER AS ft_makes, own.fta::INTEGER AS ft_attempts,
       own.oreb::INTEGER AS offensive_rebounds, own.tov::INTEGER AS turnovers, own.ast::INTEGER AS assists,
       own.paint_m::INTEGER AS paint_makes, own.paint_a::INTEGER AS paint_attempts,
       own.mid_m::INTEGER AS mid_range_makes, own.mid_a::INTEGER AS mid_range_attempts,
       own.three_m::INTEGER AS three_zone_makes, own.three_a::INTEGER AS three_zone_attempts,
       own.complete AS has_complete_shot_zones,
       own.possessions,
       ratio((own.possessions + other.possessions) / 2 * 48, (own.minutes + other.minutes) / 2 / 5) AS pace,
       ratio(100 * own.points, own.possessions) AS offensive_rating,
       CASE WHEN own.minutes + other.minutes IS NOT NULL
            THEN greatest(round(((own.minutes + other.minutes) / 2 - 240) / 25), 0) END::INTEGER AS overtime_periods
FROM side own
LEFT JOIN side other ON other.game_id = own.game_id AND other.team_abbr = own.opponent_team_abbr;

CREATE TABLE team_defense_game_summary AS
SELECT own.game_id, own.game_date, own.season, own.season_type, own.team_abbr, own.opponent_team_abbr, own.is_home,
       own.win_flag,
       other.points_scored AS points_allowed,
       other.fg_makes AS opp_fg_makes, other.fg_attempts AS opp_fg_attempts,
       other.three_pt_makes AS opp_three_pt_makes, other.three_pt_attempts AS opp_three_pt_attempts,
       other.ft_makes AS opp_ft_makes, other.ft_attempts AS opp_ft_attempts,
       other.offensive_rebounds AS opp_offensive_rebounds, other.turnovers AS opp_turnovers,
       other.assists AS opp_assists,
       other.paint_makes AS paint_makes_allowed, other.paint_attempts AS paint_attempts_allowed,
       other.mid_range_makes AS mid_range_makes_allowed, other.mid_range_attempts AS mid_range_attempts_allowed,
       other.three_zone_makes AS three_zone_makes_allowed, other.three_zone_attempts AS three_zone_attempts_allowed,
       coalesce(other.has_complete_shot_zones, false) AS has_complete_shot_zones,
       other.possessions AS opp_possessions,
       own.pace,
       ratio(100 * other.points_scored, other.possessions) AS defensive_rating,
       own.overtime_periods
FROM team_offense_game_summary own
LEFT JOIN team_offense_game_summary other
       ON other.game_id = own.game_id AND other.team_abbr = own.opponent_team_abbr;

CREATE TABLE team_game AS
SELECT o.game_id, o.game_date, o.season, o.team_abbr, o.win_flag, o.pace, o.points_scored, o.possessions,
       d.* EXCLUDE (game_id, game_date, season, season_type, team_abbr, opponent_team_abbr, is_home, win_flag, pace,
                    overtime_periods)
FROM team_offense_game_summary o JOIN team_defense_game_summary d USING (game_id, team_abbr);

CREATE TABLE news AS
SELECT date::DATE AS date, file_row_number, player_id, status, coalesce(contains(note, 'DTD'), false) AS day_to_day
FROM injury_transactions WHERE player_id IS NOT NULL;

CREATE TABLE prop AS
SELECT p.game_id, p.player_id, p.bookmaker, p.line::DOUBLE AS line,
       epoch_us(p.snapshot_file_time) AS snapshot_us,
       -- Rounded because two pairs of prices equally close on paper differ in the last bit.
       round(abs(implied_probability(p.american_over) - implied_probability(p.american_under)), 9) AS imbalance
FROM player_points_props p
JOIN game g USING (game_id)
WHERE p.snapshot_file_time IS NULL OR g.start_us IS NULL OR epoch_us(p.snapshot_file_time) < g.start_us;
"""

# --------------------------------------------------------------- what is known before each wanted day, in this order

_STEPS = {
    # -- history, cut at the day
    "wanted": """
SELECT d.day, s.season
FROM requested_day d
JOIN season s ON s.season_start = (SELECT max(season_start) FROM season WHERE season_start <= d.day)
WHERE d.day - s.season_start >= 14
  AND d.day IN (SELECT game_date FROM game WHERE game_type IN ('2', '4', '5'))
""",
    "player_to_date": """
SELECT w.day, p.*,
       row_number() OVER (PARTITION BY w.day, p.player_id ORDER BY p.game_date DESC, p.game_id DESC) AS nth_last
FROM wanted w JOIN player_game p ON p.season = w.season AND p.game_date < w.day
""",
    "team_to_date": """
SELECT w.day, t.*,
       row_number() OVER (PARTITION BY w.day, t.team_abbr ORDER BY t.game_date DESC, t.game_id DESC) AS nth_last
FROM wanted w JOIN team_game t ON t.season = w.season AND t.game_date < w.day
""",
    "scheduled_to_date": """
SELECT w.day, t.*,
       row_number() OVER (PARTITION BY w.day, t.team_abbr ORDER BY t.game_date DESC, t.game_id DESC) AS nth_last
FROM wanted w JOIN team_schedule t ON t.season = w.season AND t.game_date < w.day
WHERE t.game_type IN ('2', '4', '5')
""",
    "latest_row": "SELECT day, player_id, player_lookup, team_abbr, game_id FROM player_to_date WHERE nth_last = 1",
    "day_source": """
SELECT w.day, coalesce(w.day - 1 BETWEEN c.covered_from AND c.covered_to, false) AS captured,
       CASE WHEN captured THEN 'captured' ELSE 'synthetic' END AS context_source
FROM wanted w CROSS JOIN coverage c
""",
    # -- contexts
    "upcoming_team_game_context": """
WITH load AS (
    SELECT w.day, t.team_abbr,
           w.day - max(t.game_date) AS days_since_last_game,
           count(*) FILTER (t.game_date >= w.day - 7) AS games_in_last_7_days,
           count(*) FILTER (t.game_date >= w.day - 14) AS games_in_last_14_days
    FROM wanted w JOIN team_schedule t ON t.season = w.season AND t.game_date < w.day
    GROUP BY w.day, t.team_abbr
), last_10 AS (
    SELECT day, team_abbr, avg(pace) AS pace, ratio(100 * total(points_scored), total(possessions)) AS rating
    FROM team_to_date WHERE nth_last <= 10 GROUP BY day, team_abbr
), season_form AS (
    SELECT day, team_abbr, ratio(total(win_flag::INTEGER), count(*)) AS win_pct
    FROM team_to_date GROUP BY day, team_abbr
), line AS (
    SELECT t.game_id, t.team_abbr, l.total::DOUBLE AS total,
           CASE WHEN t.is_home THEN l.spread_home ELSE -l.spread_home END::DOUBLE AS spread
    FROM team_schedule t JOIN game_lines l USING (game_id)
)
SELECT w.day AS game_date, t.team_abbr, t.game_id, t.opponent_team_abbr, t.is_home,
       load.days_since_last_game::INTEGER AS days_since_last_game,
       coalesce(load.days_since_last_game = 1, false) AS is_back_to_back,
       coalesce(load.games_in_last_7_days, 0)::INTEGER AS games_in_last_7_days,
       coalesce(load.games_in_last_14_days, 0)::INTEGER AS games_in_last_14_days,
       line.spread AS game_spread, line.total AS game_total, (line.total - line.spread) / 2 AS implied_team_total,
       last_10.pace AS team_pace_last_10,
       last_10.rating AS team_off_rating_last_10,
       season_form.win_pct AS team_win_pct,
       source.context_source
FROM wanted w
JOIN team_schedule t ON t.game_date = w.day AND t.game_type IN ('2', '4', '5')
JOIN day_source source ON source.day = w.day
LEFT JOIN load ON load.day = w.day AND load.team_abbr = t.team_abbr
LEFT JOIN last_10 ON last_10.day = w.day AND last_10.team_abbr = t.team_abbr
LEFT JOIN season_form ON season_form.day = w.day AND season_form.team_abbr = t.team_abbr
LEFT JOIN line ON line.game_id = t.game_id AND line.team_abbr = t.team_abbr
""",
    "player_last_10": """
SELECT day, player_id,
       ratio(total(points), count(*)) AS points,
       ratio(total(seconds), count(*)) / 60 AS minutes,
       usage(total(fg_attempts), total(ft_attempts), total(turnovers), total(seconds),
             total(team_fga), total(team_fta), total(team_tov), total(team_seconds)) AS usage,
       CASE WHEN count(points) = count(*) THEN stddev_samp(points) END AS points_std,
       ratio(total(ft_makes), total(points)) AS free_throw_share,
       ratio(total(points), total(seconds) / 60) AS points_per_minute
FROM player_to_date WHERE nth_last <= 10 GROUP BY day, player_id
""",
    "held_out": """
WITH latest_news AS (
    SELECT s.day, n.date, n.player_id, n.status, n.day_to_day,
           row_number() OVER (PARTITION BY s.day, n.player_id ORDER BY n.date DESC, n.file_row_number DESC) AS nth_last
    FROM day_source s JOIN news n ON n.date < s.day
    WHERE s.captured
), counted_appearance AS (
    SELECT player_id, game_date FROM player_game
    UNION ALL
    SELECT player_id, game_date FROM appearance WHERE game_type = '6'
)
SELECT n.day, n.player_id, n.date, n.day_to_day
FROM latest_news n
WHERE n.nth_last = 1 AND n.status = 'out'
  AND NOT EXISTS (FROM counted_appearance a
                  WHERE a.player_id = n.player_id AND a.game_date > n.date AND a.game_date < n.day)
""",
    "candidate": """
SELECT p.day, p.player_id, p.player_lookup, p.team_abbr, g.game_id, g.opponent_team_abbr, g.is_home, g.start_us,
       CASE WHEN h.player_id IS NULL THEN 'available'
            WHEN NOT h.day_to_day THEN 'out'
            WHEN h.date = p.day - 1 THEN 'doubtful'
            ELSE 'questionable' END AS player_status,
       player_status IN ('out', 'doubtful') AS absent,
       f.points AS points_last_10, f.minutes AS minutes_last_10, f.usage AS usage_last_10,
       coalesce(at_least(f.points, 18) OR at_least(f.minutes, 28)
                OR (at_least(f.usage, 25) AND at_least(f.minutes, 15)), false) AS star
FROM latest_row p
JOIN team_to_date t ON t.day = p.day AND t.team_abbr = p.team_abbr AND t.game_id = p.game_id AND t.nth_last <= 10
JOIN team_schedule g ON g.game_date = p.day AND g.team_abbr = p.team_abbr AND g.game_type IN ('2', '4', '5')
JOIN player_last_10 f ON f.day = p.day AND f.player_id = p.player_id
LEFT JOIN held_out h ON h.day = p.day AND h.player_id = p.player_id
""",
    "points_line": """
WITH snapshot AS (
    SELECT game_id, max(snapshot_us) AS latest,
           CASE WHEN count(DISTINCT snapshot_us) >= 2 THEN min(snapshot_us) END AS opening
    FROM prop WHERE game_id IN (SELECT game_id FROM candidate) GROUP BY game_id
), bookmaker_line AS (
    SELECT p.game_id, p.snapshot_us, p.player_id, p.bookmaker, p.line,
           row_number() OVER (PARTITION BY p.game_id, p.snapshot_us, p.player_id, p.bookmaker
                              ORDER BY p.imbalance NULLS LAST, p.line) AS choice
    FROM prop p WHERE p.player_id IS NOT NULL AND p.line IS NOT NULL
), consensus AS (
    SELECT game_id, snapshot_us, player_id, median(line) AS line
    FROM bookmaker_line WHERE choice = 1 GROUP BY game_id, snapshot_us, player_id
)
SELECT c.day, c.player_id, latest.line AS latest_line, opening.line AS opening_line
FROM candidate c
JOIN snapshot s ON s.game_id = c.game_id
-- A latest time of NULL is the snapshot without a time, and matches the rows without one.
LEFT JOIN consensus latest ON latest.game_id = c.game_id AND latest.player_id = c.player_id
      AND latest.snapshot_us IS NOT DISTINCT FROM s.latest
LEFT JOIN consensus opening ON opening.game_id = c.game_id AND opening.player_id = c.player_id
      AND opening.snapshot_us = s.opening
""",
    "upcoming_player_game_context": """
WITH load AS (
    SELECT c.day, c.player_id,
           c.day - max(a.game_date) AS days_since_last_game,
           count(DISTINCT a.game_id) FILTER (a.game_date >= c.day - 7) AS games_in_last_7_days,
           coalesce(sum(a.seconds) FILTER (a.game_date >= c.day - 7), 0) / 60 AS minutes_in_last_7_days
    FROM candidate c JOIN appearance a ON a.player_id = c.player_id AND a.game_date < c.day
    GROUP BY c.day, c.player_id
), back_to_back AS (
    SELECT c.day, c.player_id, count(DISTINCT first.game_date) AS pairs
    FROM candidate c
    JOIN appearance first ON first.player_id = c.player_id AND first.game_date >= c.day - 14
    JOIN appearance second ON second.player_id = c.player_id AND second.game_date = first.game_date + 1
    WHERE second.game_date < c.day
    GROUP BY c.day, c.player_id
), last_7 AS (
    SELECT day, player_id,
           usage(total(fg_attempts), total(ft_attempts), total(turnovers), total(seconds),
                 total(team_fga), total(team_fta), total(team_tov), total(team_seconds)) AS usage
    FROM player_to_date WHERE nth_last <= 7 GROUP BY day, player_id
), team_baseline AS (
    SELECT day, team_abbr, ratio(sum(usage_last_10 * minutes_last_10), sum(minutes_last_10)) AS mean_usage
    FROM candidate WHERE NOT absent AND usage_last_10 IS NOT NULL GROUP BY day, team_abbr
), stars_out AS (
    SELECT c.day, c.player_id, count(*) AS stars
    FROM candidate c
    JOIN candidate mate ON mate.day = c.day AND mate.team_abbr = c.team_abbr AND mate.player_id <> c.player_id
    WHERE mate.absent AND mate.star
    GROUP BY c.day, c.player_id
)
SELECT c.day AS game_date, c.player_id, c.player_lookup, c.game_id, c.team_abbr, c.opponent_team_abbr, c.is_home,
       c.player_status,
       (year(c.day) - year(b.birth_date)
        - ((month(c.day), day(c.day)) < (month(b.birth_date), day(b.birth_date)))::INTEGER)::INTEGER AS player_age,
       load.days_since_last_game::INTEGER AS days_since_last_game,
       load.days_since_last_game = 1 AS is_back_to_back,
       load.games_in_last_7_days::INTEGER AS games_in_last_7_days,
       load.minutes_in_last_7_days,
       ratio(load.minutes_in_last_7_days, load.games_in_last_7_days) AS avg_minutes_per_game_last_7,
       coalesce(back_to_back.pairs, 0)::INTEGER AS back_to_backs_last_14_days,
       last_7.usage AS avg_usage_rate_last_7_games,
       ratio(c.usage_last_10 * 20, baseline.mean_usage) AS projected_usage_rate,
       coalesce(stars_out.stars, 0)::INTEGER AS star_teammates_out,
       line.latest_line AS points_line,
       source.context_source
FROM candidate c
JOIN day_source source ON source.day = c.day
JOIN load ON load.day = c.day AND load.player_id = c.player_id
JOIN last_7 ON last_7.day = c.day AND last_7.player_id = c.player_id
LEFT JOIN back_to_back ON back_to_back.day = c.day AND back_to_back.player_id = c.player_id
LEFT JOIN team_baseline baseline ON baseline.day = c.day AND baseline.team_abbr = c.team_abbr
LEFT JOIN stars_out ON stars_out.day = c.day AND stars_out.player_id = c.player_id
LEFT JOIN points_line line ON line.day = c.day AND line.player_id = c.player_id
LEFT JOIN players b ON b.player_id = c.player_id
WHERE c.player_status <> 'out'
""",
    # -- precompute
    "team_defense_zone_analysis": """
WITH last_15 AS (
    SELECT day, team_abbr,
           count(*) AS games,
           count(*) FILTER (has_complete_shot_zones) AS zone_games,
           sum(paint_makes_allowed) AS paint_m, sum(paint_attempts_allowed) AS paint_a,
           sum(mid_range_makes_allowed) AS mid_m, sum(mid_range_attempts_allowed) AS mid_a,
           sum(three_zone_makes_allowed) AS three_m, sum(three_zone_attempts_allowed) AS three_a,
           total(points_allowed) AS points, total(opp_possessions) AS possessions, avg(pace) AS pace
    FROM team_to_date WHERE nth_last <= 15 GROUP BY day, team_abbr
), league AS (
    SELECT day,
           ratio(sum(paint_makes_allowed), sum(paint_attempts_allowed)) AS paint,
           ratio(sum(mid_range_makes_allowed), sum(mid_range_attempts_allowed)) AS mid,
           ratio(sum(three_zone_makes_allowed), sum(three_zone_attempts_allowed)) AS three
    FROM team_to_date WHERE has_complete_shot_zones GROUP BY day
), schedule_kept AS (
    SELECT s.day, s.team_abbr,
           100 * count(*) FILTER (d.has_complete_shot_zones) / count(*) AS completeness_pct
    FROM scheduled_to_date s LEFT JOIN team_defense_game_summary d USING (game_id, team_abbr)
    WHERE s.nth_last <= 15 GROUP BY s.day, s.team_abbr
), figures AS (
    SELECT w.day, w.season, team.team_abbr,
           coalesce(x.games, 0) AS games, coalesce(x.zone_games, 0) AS zone_games,
           ratio(x.paint_m, x.paint_a) AS paint_pct,
           ratio(x.mid_m, x.mid_a) AS mid_pct,
           ratio(x.three_m, x.three_a) AS three_pct,
           ratio(x.paint_a, x.zone_games) AS paint_per_game,
           ratio(x.mid_a, x.zone_games) AS mid_per_game,
           ratio(x.three_a, x.zone_games) AS three_per_game,
           ratio(2 * x.paint_m, x.zone_games) AS paint_points,
           league.paint AS league_paint, league.mid AS league_mid, league.three AS league_three,
           100 * (paint_pct - league.paint) AS paint_vs,
           100 * (mid_pct - league.mid) AS mid_vs,
           100 * (three_pct - league.three) AS three_vs,
           ratio(100 * x.points, x.possessions) AS rating,
           ratio(x.points, x.games) AS points_per_game,
           x.pace,
           k.completeness_pct
    FROM wanted w
    JOIN (SELECT DISTINCT season, team_abbr FROM team_schedule WHERE game_type = '2') team ON team.season = w.season
    LEFT JOIN last_15 x ON x.day = w.day AND x.team_abbr = team.team_abbr
    LEFT JOIN league ON league.day = w.day
    LEFT JOIN schedule_kept k ON k.day = w.day AND k.team_abbr = team.team_abbr
)
SELECT day AS analysis_date, team_abbr, season,
       paint_pct AS paint_pct_allowed_last_15,
       mid_pct AS mid_range_pct_allowed_last_15,
       three_pct AS three_pt_pct_allowed_last_15,
       paint_per_game AS paint_attempts_allowed_per_game,
       mid_per_game AS mid_range_attempts_allowed_per_game,
       three_per_game AS three_pt_attempts_allowed_per_game,
       paint_points AS paint_points_allowed_per_game,
       league_paint AS league_paint_pct,
       league_mid AS league_mid_range_pct,
       league_three AS league_three_pt_pct,
       paint_vs AS paint_defense_vs_league_avg,
       mid_vs AS mid_range_defense_vs_league_avg,
       three_vs AS three_pt_defense_vs_league_avg,
       -- least and greatest pass over NULLs; the order of the cases is the order of ties.
       CASE least(paint_vs, mid_vs, three_vs)
           WHEN paint_vs THEN 'paint' WHEN mid_vs THEN 'mid_range' WHEN three_vs THEN 'perimeter' END AS strongest_zone,
       CASE greatest(paint_vs, mid_vs, three_vs)
           WHEN paint_vs THEN 'paint' WHEN mid_vs THEN 'mid_range' WHEN three_vs THEN 'perimeter' END AS weakest_zone,
       rating AS defensive_rating_last_15,
       points_per_game AS opponent_points_per_game,
       pace AS opponent_pace,
       games::INTEGER AS games_in_sample,
       zone_games::INTEGER AS zone_games_in_sample,
       CASE WHEN games >= 15 THEN 'high' WHEN games >= 10 THEN 'medium' ELSE 'low' END AS data_quality_tier,
       completeness_pct,
       coalesce(at_least(completeness_pct, 50), false) AND games >= 5 AS production_ready,
       'v1' AS calculation_version
FROM figures
""",
    "player_shot_zone_analysis": """
WITH last_10 AS (
    SELECT day, player_id, count(*) AS games, count(*) FILTER (has_complete_shot_zones) AS zone_games,
           sum(paint_makes) AS paint_m, sum(paint_attempts) AS paint_a,
           sum(mid_range_makes) AS mid_m, sum(mid_range_attempts) AS mid_a,
           sum(three_zone_makes) AS three_m, sum(three_zone_attempts) AS three_a,
           sum(assisted_fg_makes) AS assisted, sum(unassisted_fg_makes) AS unassisted
    FROM player_to_date WHERE nth_last <= 10 GROUP BY day, player_id
), last_20 AS (
    SELECT day, player_id, count(*) AS games,
           sum(paint_makes) AS paint_m, sum(paint_attempts) AS paint_a,
           sum(mid_range_attempts) AS mid_a, sum(three_zone_attempts) AS three_a
    FROM player_to_date WHERE nth_last <= 20 GROUP BY day, player_id
), schedule_kept AS (
    SELECT s.day, s.team_abbr, 100 * count(t.game_id) / count(*) AS pct
    FROM scheduled_to_date s LEFT JOIN team_game t USING (game_id, team_abbr)
    WHERE s.nth_last <= 10 GROUP BY s.day, s.team_abbr
), figures AS (
    SELECT p.day, w.season, p.player_id, p.player_lookup, x.* EXCLUDE (day, player_id), y.games AS games_20,
           x.paint_a + x.mid_a + x.three_a AS shots,
           100 * ratio(x.paint_a, shots) AS paint_rate,
           100 * ratio(x.mid_a, shots) AS mid_rate,
           100 * ratio(x.three_a, shots) AS three_rate,
           100 * ratio(y.paint_a, y.paint_a + y.mid_a + y.three_a) AS paint_rate_20,
           ratio(y.paint_m, y.paint_a) AS paint_pct_20,
           least(100 * x.zone_games / x.games, k.pct) AS completeness_pct
    FROM latest_row p
    JOIN wanted w USING (day)
    JOIN last_10 x USING (day, player_id)
    JOIN last_20 y USING (day, player_id)
    JOIN schedule_kept k ON k.day = p.day AND k.team_abbr = p.team_abbr
)
SELECT day AS analysis_date, player_id, player_lookup, season,
       paint_rate AS paint_rate_last_10,
       mid_rate AS mid_range_rate_last_10,
       three_rate AS three_pt_rate_last_10,
       ratio(paint_m, paint_a) AS paint_pct_last_10,
       ratio(mid_m, mid_a) AS mid_range_pct_last_10,
       ratio(three_m, three_a) AS three_pt_pct_last_10,
       ratio(paint_a, zone_games) AS paint_attempts_per_game,
       ratio(mid_a, zone_games) AS mid_range_attempts_per_game,
       ratio(three_a, zone_games) AS three_pt_attempts_per_game,
       shots::INTEGER AS total_shots_last_10,
       CASE WHEN paint_rate IS NULL THEN NULL
            WHEN at_least(paint_rate, 40) THEN 'paint'
            WHEN at_least(three_rate, 40) THEN 'perimeter'
            WHEN at_least(mid_rate, 35) THEN 'mid_range'
            ELSE 'balanced' END AS primary_scoring_zone,
       100 * ratio(assisted, assisted + unassisted) AS assisted_rate_last_10,
       100 * ratio(unassisted, assisted + unassisted) AS unassisted_rate_last_10,
       paint_rate_20 AS paint_rate_last_20,
       paint_pct_20 AS paint_pct_last_20,
       games::INTEGER AS games_in_sample_10,
       games_20::INTEGER AS games_in_sample_20,
       zone_games::INTEGER AS zone_games_in_sample_10,
       CASE WHEN games >= 10 THEN 'excellent' WHEN games >= 7 THEN 'good' WHEN games >= 5 THEN 'limited'
            ELSE 'insufficient' END AS sample_quality_10,
       CASE WHEN games_20 >= 20 THEN 'excellent' WHEN games_20 >= 14 THEN 'good' WHEN games_20 >= 10 THEN 'limited'
            ELSE 'insufficient' END AS sample_quality_20,
       completeness_pct,
       at_least(completeness_pct, 50) AND games >= 5 AS production_ready,
       'v1' AS calculation_version
FROM figures
""",
    "player_composite_factors": """
WITH league AS (
    SELECT day, avg(pace) AS pace FROM (SELECT DISTINCT day, game_id, pace FROM team_to_date) GROUP BY day
), inputs AS (
    SELECT c.*,
           z.primary_scoring_zone, z.paint_rate_last_10, z.mid_range_rate_last_10, z.three_pt_rate_last_10,
           d.paint_defense_vs_league_avg AS paint_vs,
           d.mid_range_defense_vs_league_avg AS mid_vs,
           d.three_pt_defense_vs_league_avg AS three_vs,
           own.team_pace_last_10, other.team_pace_last_10 AS opponent_pace_last_10,
           (own.team_pace_last_10 + other.team_pace_last_10) / 2 AS expected_pace,
           league.pace AS league_pace,
           coalesce(d.production_ready, false) AS defense_ready,
           coalesce(z.production_ready, false) AS zone_ready
    FROM upcoming_player_game_context c
    LEFT JOIN player_shot_zone_analysis z ON z.analysis_date = c.game_date AND z.player_id = c.player_id
    LEFT JOIN team_defense_zone_analysis d ON d.analysis_date = c.game_date AND d.team_abbr = c.opponent_team_abbr
    LEFT JOIN upcoming_team_game_context own ON own.game_date = c.game_date AND own.team_abbr = c.team_abbr
    LEFT JOIN upcoming_team_game_context other
           ON other.game_date = c.game_date AND other.team_abbr = c.opponent_team_abbr
    LEFT JOIN league ON league.day = c.game_date
), mismatch AS (
    SELECT game_date, player_id,
           CASE primary_scoring_zone
               WHEN 'paint' THEN paint_vs * least(paint_rate_last_10 / 50, 1)
               WHEN 'perimeter' THEN three_vs * least(three_pt_rate_last_10 / 50, 1)
               WHEN 'mid_range' THEN mid_vs * least(mid_range_rate_last_10 / 50, 1)
               WHEN 'balanced' THEN paint_rate_last_10 / 100 * paint_vs + mid_range_rate_last_10 / 100 * mid_vs
                                    + three_pt_rate_last_10 / 100 * three_vs
           END AS x,
           clamp(CASE WHEN above(abs(x), 5) THEN x * 1.2 ELSE x END, -10, 10) AS score
    FROM inputs
), fatigue AS (
    SELECT game_date, player_id,
           CASE WHEN days_since_last_game IS NOT NULL THEN 100
               + CASE WHEN is_back_to_back THEN -15 WHEN days_since_last_game - 1 >= 3 THEN 5 ELSE 0 END
               + CASE WHEN games_in_last_7_days >= 4 THEN -10 ELSE 0 END
               + CASE WHEN above(minutes_in_last_7_days, 240) THEN -10 ELSE 0 END
               + CASE WHEN above(avg_minutes_per_game_last_7, 35) THEN -8 ELSE 0 END
               + CASE WHEN back_to_backs_last_14_days >= 2 THEN -12
                      WHEN back_to_backs_last_14_days = 1 THEN -5 ELSE 0 END
               + CASE WHEN player_age >= 35 THEN -10 WHEN player_age >= 30 THEN -5 ELSE 0 END
           END AS unclamped,
           clamp(unclamped, 0, 100) AS score
    FROM inputs
), usage_spike AS (
    SELECT game_date, player_id,
           (projected_usage_rate - avg_usage_rate_last_7_games) * 0.3 AS x,
           CASE WHEN x > 0 AND star_teammates_out = 1 THEN 1.15
                WHEN x > 0 AND star_teammates_out >= 2 THEN 1.30
                ELSE 1 END AS boost,
           clamp(x * boost, -3, 3) AS score
    FROM inputs
), factors AS (
    SELECT i.*,
           fatigue.score AS fatigue_score,
           mismatch.score AS mismatch_score,
           clamp((i.expected_pace - i.league_pace) / 2, -3, 3) AS pace_score,
           usage_spike.score AS usage_score,
           (fatigue_score - 100) / 20 AS fatigue_adjustment,
           25 * ((fatigue_score IS NOT NULL)::INTEGER + (mismatch_score IS NOT NULL)::INTEGER
                 + (pace_score IS NOT NULL)::INTEGER + (usage_score IS NOT NULL)::INTEGER) AS completeness_pct
    FROM inputs i
    JOIN mismatch USING (game_date, player_id)
    JOIN fatigue USING (game_date, player_id)
    JOIN usage_spike USING (game_date, player_id)
)
SELECT game_date, game_date AS analysis_date, player_id, player_lookup, game_id, team_abbr, opponent_team_abbr, is_home,
       fatigue_score::INTEGER AS fatigue_score,
       mismatch_score AS shot_zone_mismatch_score,
       pace_score,
       usage_score AS usage_spike_score,
       fatigue_adjustment,
       clamp(fatigue_adjustment + mismatch_score + pace_score + usage_score, -21, 15) AS total_composite_adjustment,
       days_since_last_game, is_back_to_back, games_in_last_7_days, minutes_in_last_7_days,
       avg_minutes_per_game_last_7, back_to_backs_last_14_days, player_age,
       primary_scoring_zone, paint_rate_last_10, mid_range_rate_last_10, three_pt_rate_last_10,
       paint_vs AS opponent_paint_defense_vs_league_avg,
       mid_vs AS opponent_mid_range_defense_vs_league_avg,
       three_vs AS opponent_three_pt_defense_vs_league_avg,
       team_pace_last_10, opponent_pace_last_10, expected_pace, league_pace,
       projected_usage_rate, avg_usage_rate_last_7_games, star_teammates_out,
       completeness_pct::DOUBLE AS completeness_pct,
       defense_ready AS upstream_team_defense_ready,
       zone_ready AS upstream_shot_zone_ready,
       at_least(completeness_pct, 50) AND defense_ready AND zone_ready AS production_ready,
       context_source,
       'v1_4factors' AS calculation_version
FROM factors
""",
    # -- features
    "ml_feature_store_v2": """
WITH last_5 AS (
    SELECT day, player_id, ratio(total(points), count(*)) AS points
    FROM player_to_date WHERE nth_last <= 5 GROUP BY day, player_id
), season_form AS (
    SELECT day, player_id, count(*) AS games, ratio(total(points), count(*)) AS points,
           ratio(total(seconds), count(*)) / 60 AS minutes
    FROM player_to_date GROUP BY day, player_id
), trend AS (
    SELECT day, player_id,
           sum(points) FILTER (nth_last <= 2) / 2 - sum(points) FILTER (nth_last > 2) / 3 AS x
    FROM player_to_date WHERE nth_last <= 5
    GROUP BY day, player_id HAVING count(points) = 5
), versus AS (
    SELECT c.game_date, c.player_id, count(*) AS games, ratio(total(p.points), count(*)) AS points
    FROM upcoming_player_game_context c
    JOIN player_game p ON p.player_id = c.player_id AND p.opponent_team_abbr = c.opponent_team_abbr
                      AND p.game_date >= c.game_date - 365 AND p.game_date < c.game_date
    GROUP BY c.game_date, c.player_id
), features AS (
    SELECT c.game_date, c.player_id, c.player_lookup, c.game_id, c.team_abbr, c.opponent_team_abbr, c.is_home,
           'v2_33' AS feature_version,
           last_5.points AS points_avg_last_5,
           last_10.points AS points_avg_last_10,
           season_form.points AS points_avg_season,
           last_10.points_std AS points_std_last_10,
           c.games_in_last_7_days,
           f.fatigue_score, f.shot_zone_mismatch_score, f.pace_score, f.usage_spike_score,
           clamp(own.days_since_last_game - other.days_since_last_game, -2, 2)::INTEGER AS rest_advantage,
           CASE c.player_status WHEN 'available' THEN 0 WHEN 'probable' THEN 1 WHEN 'questionable' THEN 2
                                WHEN 'doubtful' THEN 3 WHEN 'out' THEN 3 END::INTEGER AS injury_risk,
           CASE WHEN trend.x IS NULL THEN NULL
                WHEN at_least(trend.x, 5) THEN 2 WHEN at_least(trend.x, 2) THEN 1
                WHEN at_most(trend.x, -5) THEN -2 WHEN at_most(trend.x, -2) THEN -1 ELSE 0 END::INTEGER AS recent_trend,
           ratio(last_10.minutes - season_form.minutes, season_form.minutes) AS change,
           CASE WHEN change IS NULL THEN NULL
                WHEN at_least(change, 0.2) THEN 2 WHEN at_least(change, 0.1) THEN 1
                WHEN at_most(change, -0.2) THEN -2 WHEN at_most(change, -0.1) THEN -1
                ELSE 0 END::INTEGER AS minutes_change,
           d.defensive_rating_last_15 AS opponent_def_rating,
           d.opponent_pace,
           c.is_home::INTEGER AS home_away,
           c.is_back_to_back::INTEGER AS back_to_back,
           (substr(c.game_id, 3, 1) IN ('4', '5'))::INTEGER AS playoff_game,
           z.paint_rate_last_10 / 100 AS pct_paint,
           z.mid_range_rate_last_10 / 100 AS pct_mid_range,
           z.three_pt_rate_last_10 / 100 AS pct_three,
           last_10.free_throw_share AS pct_free_throw,
           own.team_pace_last_10 AS team_pace,
           own.team_off_rating_last_10 AS team_off_rating,
           own.team_win_pct,
           c.points_line AS vegas_points_line,
           line.opening_line AS vegas_opening_line,
           c.points_line - line.opening_line AS vegas_line_move,
           (c.points_line IS NOT NULL)::INTEGER AS has_vegas_line,
           versus.points AS avg_points_vs_opponent,
           coalesce(versus.games, 0)::INTEGER AS games_vs_opponent,
           last_10.minutes AS minutes_avg_last_10,
           last_10.points_per_minute AS ppm_avg_last_10,
           least(season_form.games, 10)::INTEGER AS games_in_sample,
           coalesce(f.production_ready, false) AS factors_ready,
           c.context_source
    FROM upcoming_player_game_context c
    LEFT JOIN last_5 ON last_5.day = c.game_date AND last_5.player_id = c.player_id
    LEFT JOIN player_last_10 last_10 ON last_10.day = c.game_date AND last_10.player_id = c.player_id
    LEFT JOIN season_form ON season_form.day = c.game_date AND season_form.player_id = c.player_id
    LEFT JOIN trend ON trend.day = c.game_date AND trend.player_id = c.player_id
    LEFT JOIN versus ON versus.game_date = c.game_date AND versus.player_id = c.player_id
    LEFT JOIN points_line line ON line.day = c.game_date AND line.player_id = c.player_id
    LEFT JOIN player_composite_factors f ON f.game_date = c.game_date AND f.player_id = c.player_id
    LEFT JOIN player_shot_zone_analysis z ON z.analysis_date = c.game_date AND z.player_id = c.player_id
    LEFT JOIN team_defense_zone_analysis d ON d.analysis_date = c.game_date AND d.team_abbr = c.opponent_team_abbr
    LEFT JOIN upcoming_team_game_context own ON own.game_date = c.game_date AND own.team_abbr = c.team_abbr
    LEFT JOIN upcoming_team_game_context other
           ON other.game_date = c.game_date AND other.team_abbr = c.opponent_team_abbr
), graded AS (
    SELECT *, 100 / 29 * len(list_filter([
        points_avg_last_5, points_avg_last_10, points_avg_season, points_std_last_10, games_in_last_7_days,
        fatigue_score, shot_zone_mismatch_score, pace_score, usage_spike_score,
        rest_advantage, injury_risk, recent_trend, minutes_change, opponent_def_rating, opponent_pace,
        home_away, back_to_back, playoff_game, pct_paint, pct_mid_range, pct_three, pct_free_throw,
        team_pace, team_off_rating, team_win_pct,
        avg_points_vs_opponent, games_vs_opponent, minutes_avg_last_10, ppm_avg_last_10
    ], lambda feature: feature IS NOT NULL)) AS filled_pct
    FROM features
)
SELECT * EXCLUDE (change, games_in_sample, factors_ready, context_source, filled_pct),
       games_in_sample,
       filled_pct AS feature_quality_score,
       filled_pct AS completeness_pct,
       at_least(filled_pct, 50) AND factors_ready AS production_ready,
       context_source,
       'v1' AS calculation_version
FROM graded
""",
}

_KEYS = {
    "player_game_summary": ("game_date", "game_id, player_id"),
    "team_offense_game_summary": ("game_date", "game_id, team_abbr"),
    "team_defense_game_summary": ("game_date", "game_id, team_abbr"),
    "upcoming_team_game_context": ("game_date", "game_date, team_abbr"),
    "upcoming_player_game_context": ("game_date", "game_date, player_id"),
    "team_defense_zone_analysis": ("analysis_date", "analysis_date, team_abbr"),
    "player_shot_zone_analysis": ("analysis_date", "analysis_date, player_id"),
    "player_composite_factors": ("game_date", "game_date, player_id"),
    "ml_feature_store_v2": ("game_date", "game_date, player_id"),
}
TABLES = tuple(_KEYS)


def connect(raw: Path) -> duckdb.DuckDBPyConnection:
    """Open an in-memory database with views over a raw Parquet folder and the three game summaries of all its days."""
    connection = duckdb.connect()
    for name in (*_REQUIRED_FILES, *_OPTIONAL_FILES):
        _create_raw_view(connection, raw / f"{name}.parquet")
    _create_coverage(connection, raw / "injury_transactions.parquet")
    _create_player_lookup(connection)
    connection.execute(_MACROS)
    connection.execute(_FACTS)
    return connection


def expected(connection: duckdb.DuckDBPyConnection, table: str, days: Sequence[date]) -> pd.DataFrame:
    """Rows of `table` of those `days`, in the order of its key; days that are no partition of it have none.

    Every call computes the table anew, together with what it stands on, from the raw files read by `connect`.
    """
    if table not in _KEYS:
        raise ValueError(f"The oracle knows no table {table!r}; it knows {', '.join(TABLES)}.")
    requested_days = "SELECT DISTINCT unnest(?::DATE[]) AS day"
    connection.execute(f"CREATE OR REPLACE TABLE requested_day AS {requested_days}", [list(days)])
    if table not in GAME_SUMMARIES:
        for step, query in _STEPS.items():
            connection.execute(f"CREATE OR REPLACE TABLE {step} AS {query}")
            if step == table:
                break
    partition, key = _KEYS[table]
    return connection.execute(f"FROM {table} WHERE {partition} IN (SELECT day FROM requested_day) ORDER BY {key}").df()


def _create_raw_view(connection: duckdb.DuckDBPyConnection, file: Path) -> None:
    if file.stem in _OPTIONAL_FILES and not file.exists():
        query = f"SELECT {_OPTIONAL_FILES[file.stem]} WHERE false"
    else:
        # The order of news of one date is their order in the file.
        row_number = ", file_row_number = true" if file.stem == "injury_transactions" else ""
        query = f"FROM read_parquet('{file}'{row_number})"
    connection.execute(f"CREATE VIEW {file.stem} AS {query}")


def _create_coverage(connection: duckdb.DuckDBPyConnection, injury_file: Path) -> None:
    stated: dict[str, str] = {}
    if injury_file.exists():
        stated = dict(
            connection.execute(
                f"SELECT decode(key), decode(value) FROM parquet_kv_metadata('{injury_file}') "
                "WHERE decode(key) IN ('covered_from', 'covered_to')"
            ).fetchall()
        )
    connection.execute(
        "CREATE TABLE coverage AS SELECT coalesce(?::DATE, min(date)::DATE) AS covered_from, "
        "coalesce(?::DATE, max(date)::DATE) AS covered_to FROM injury_transactions",
        [stated.get("covered_from"), stated.get("covered_to")],
    )


def _create_player_lookup(connection: duckdb.DuckDBPyConnection) -> None:
    names = [name for (name,) in connection.execute("SELECT DISTINCT player_name FROM player_box_scores").fetchall()]
    connection.execute("CREATE TABLE player_lookup (player_name VARCHAR, player_lookup VARCHAR)")
    connection.executemany("INSERT INTO player_lookup VALUES (?, ?)", [(name, _normalised(name)) for name in names])


def _normalised(name: str | None) -> str | None:
    if name is None:
        return None
    decomposed = unicodedata.normalize("NFKD", name).lower()
    return "".join(letter for letter in decomposed if letter in "abcdefghijklmnopqrstuvwxyz0123456789")
