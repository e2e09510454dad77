//! Container output on disk: written in CRI format, rotated, read back.
