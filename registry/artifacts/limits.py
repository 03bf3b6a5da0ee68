"""How large, deep and numerous the contents of model files may be."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that are checked before anything is opened.

    Attributes
    ----------
    n_files : int
        Files of one version.
    file_bytes, total_bytes : int
        Size of one file, and of all of a version [bytes].
    expanded_bytes : int
        Uncompressed size of an archive or a compressed stream, nested ones included [bytes].
    expansion_ratio : float
        Uncompressed over compressed size; looked at from `ratio_floor_bytes` on, because small
        texts compress well.
    n_members : int
        Members of one archive.
    depth : int
        How many compressions or literals may lie inside each other.
    document_bytes, yaml_bytes, schema_bytes : int
        Size of a JSON document, of a YAML document, and of the schema of a skops file [bytes].
    n_containers : int
        Lists and objects in a JSON document or a schema: each takes some 60 bytes or more of
        memory for two of its text.
    n_nodes : int
        Values in a YAML document, after its aliases are expanded.
    n_opcodes : int
        Opcodes of one pickle.
    """

    n_files: int = 10_000
    file_bytes: int = 8192 * MIB
    total_bytes: int = 16384 * MIB
    expanded_bytes: int = 2048 * MIB
    expansion_ratio: float = 200.0
    ratio_floor_bytes: int = 16 * MIB
    n_members: int = 200_000
    depth: int = 4
    document_bytes: int = 64 * MIB
    yaml_bytes: int = MIB // 2
    schema_bytes: int = 128 * MIB
    n_containers: int = 2_000_000
    n_nodes: int = 100_000
    n_opcodes: int = 20_000_000
