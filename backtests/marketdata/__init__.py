"""Reading, checking and mapping market data.

`importer.import_file` turns a CSV, Parquet or Arrow file into immutable arrays and a manifest;
`panel.open_panel` maps those arrays back without a copy. Nothing here knows a database.
"""
