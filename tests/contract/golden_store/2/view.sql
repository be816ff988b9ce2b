PRAGMA user_version=0;
CREATE TABLE leftfold_checkpoint(
    id INTEGER PRIMARY KEY CHECK (id = 1), position INTEGER NOT NULL, chain BLOB NOT NULL,
    view TEXT NOT NULL, version INTEGER NOT NULL, changes_from INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE TABLE leftfold_changes(
    position INTEGER NOT NULL, key TEXT NOT NULL, PRIMARY KEY (position, key)) STRICT, WITHOUT ROWID;
CREATE TABLE note(id INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT;
CREATE TABLE leftfold_format(
    id INTEGER PRIMARY KEY CHECK (id = 1), format INTEGER NOT NULL) STRICT;
CREATE TABLE leftfold_parked(
    position INTEGER PRIMARY KEY, stream TEXT NOT NULL, event_id TEXT NOT NULL, type TEXT NOT NULL,
    reason TEXT NOT NULL) STRICT;
CREATE INDEX leftfold_parked_stream ON leftfold_parked(stream, position);
CREATE TABLE leftfold_skipped(
    position INTEGER PRIMARY KEY, stream TEXT NOT NULL, event_id TEXT NOT NULL, type TEXT NOT NULL,
    reason TEXT NOT NULL, decided_by TEXT NOT NULL, why TEXT NOT NULL, at INTEGER NOT NULL) STRICT;
INSERT INTO leftfold_checkpoint VALUES (1,7,X'0700000000000000000000000000000000000000000000000000000000000000','notes',1,0);
INSERT INTO leftfold_changes VALUES (7,'a key');
INSERT INTO note VALUES (1,'one');
INSERT INTO note VALUES (2,'ä''two');
INSERT INTO leftfold_format VALUES (1,1);
INSERT INTO leftfold_parked VALUES (4,'room-a','an id','test.Happened','no note');
