-- One server, three databases: Dagster's runs and events, the catalog of tables with locks and journal, MLflow's runs.
CREATE DATABASE dagster;
CREATE DATABASE regime_assets;
CREATE DATABASE mlflow;
