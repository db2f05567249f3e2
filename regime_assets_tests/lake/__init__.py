"""What holds of tables that many machines share: run where PostgreSQL and DuckDB's extensions are installed."""
