"""The registry as an unmodified MLflow client sees it (docs/mlflow.md)."""
