-- One server, three databases: Dagster's runs and events, the catalog of tables with locks and journal, MLflow's runs.
CREATE DATABASE dagster ENCODING 'UTF8' TEMPLATE template0;
CREATE DATABASE regime_assets ENCODING 'UTF8' TEMPLATE template0;
CREATE DATABASE mlflow ENCODING 'UTF8' TEMPLATE template0;
