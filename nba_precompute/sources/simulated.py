def write_simulated_league(folder): raise NotImplementedError
