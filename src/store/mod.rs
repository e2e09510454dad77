//! The state that outlives processes: typed records with revisions, in one SQLite file.
