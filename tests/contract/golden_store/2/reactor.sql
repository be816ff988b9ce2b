PRAGMA user_version=1;
CREATE TABLE leftfold_checkpoint(
    id INTEGER PRIMARY KEY CHECK (id = 1), position INTEGER NOT NULL, chain BLOB NOT NULL,
    reactor TEXT NOT NULL, paused TEXT, seen INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE TABLE leftfold_outbox(
    id INTEGER PRIMARY KEY, key TEXT NOT NULL, kind INTEGER NOT NULL, type TEXT NOT NULL,
    payload BLOB NOT NULL, timer TEXT NOT NULL, due INTEGER, attempts INTEGER NOT NULL,
    round INTEGER NOT NULL, state INTEGER NOT NULL, error TEXT NOT NULL, behind INTEGER NOT NULL,
    event_id TEXT NOT NULL, correlation_id TEXT NOT NULL, traceparent TEXT NOT NULL) STRICT;
CREATE INDEX leftfold_outbox_behind ON leftfold_outbox(key, id) WHERE behind = 1;
CREATE INDEX leftfold_outbox_parked ON leftfold_outbox(id) WHERE state > 0;
CREATE TABLE leftfold_numbers(position INTEGER PRIMARY KEY, next INTEGER NOT NULL) STRICT;
CREATE TABLE mailed(id INTEGER PRIMARY KEY, to_whom TEXT NOT NULL) STRICT;
INSERT INTO leftfold_checkpoint VALUES (1,6,X'0600000000000000000000000000000000000000000000000000000000000000','mails',NULL,8);
INSERT INTO leftfold_outbox VALUES (5242882,'ada',0,'mail',X'746F00616461','reminder',1700000000000000,3,0,2,'no such address',0,'an event','a correlation','a trace');
INSERT INTO leftfold_numbers VALUES (5,3);
INSERT INTO mailed VALUES (1,'ada');
