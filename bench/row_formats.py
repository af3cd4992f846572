"""Writes a JSON Lines file as Parquet: python row_formats.py rows.jsonl rows.parquet ROW_GROUP_SIZE. Needs pyarrow."""

import sys

import pyarrow.json
import pyarrow.parquet

source, target, group = sys.argv[1:]
table = pyarrow.json.read_json(source)
pyarrow.parquet.write_table(table, target, row_group_size=int(group))
