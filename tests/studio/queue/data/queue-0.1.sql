BEGIN TRANSACTION;
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
INSERT INTO "facts" VALUES('device','cpu');
CREATE TABLE jobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL DEFAULT 'queued',
    draft INTEGER NOT NULL,
    title TEXT NOT NULL,
    spec TEXT NOT NULL,
    key TEXT UNIQUE,
    body TEXT NOT NULL,
    created REAL NOT NULL,
    started REAL,
    ended REAL,
    attempt INTEGER NOT NULL DEFAULT 0,
    worker TEXT,
    asked TEXT,
    used REAL NOT NULL DEFAULT 0,
    used_before REAL NOT NULL DEFAULT 0,
    progress TEXT,
    width INTEGER,
    height INTEGER,
    preview INTEGER,
    problem TEXT,
    losses INTEGER NOT NULL DEFAULT 0,
    lost_at INTEGER NOT NULL DEFAULT -1,
    version INTEGER NOT NULL DEFAULT 0
);
INSERT INTO "jobs" VALUES(1,'00000000000000000000000000000001','done',0,'job 1','{"recipe": {"name": "sketch"}, "names": ["holiday.png", "wall.png"], "shipped": [null], "sizes": [[64, 48], [64, 56]], "masks": [], "style_masks": [], "init": false, "depth": 8, "keep_metadata": false, "film": null}','k1','b',1790000060.0,1790000060.0,1790000065.0,1,NULL,NULL,2.0,0.0,'{"iteration": 5, "iterations": 5, "unit": "step", "scale": 0, "scales": 1, "width": 32, "height": 24, "losses": {"total": 1.0}, "seconds_left": 0.0}',32,24,5,NULL,0,-1,3);
INSERT INTO "jobs" VALUES(2,'00000000000000000000000000000002','failed',0,'job 2','{"recipe": {"name": "sketch"}, "names": ["cat.jpg", "pond.jpg", "wall.png"], "shipped": ["pond", null], "sizes": [[64, 48], [256, 256], [64, 56]], "masks": ["salient", null], "style_masks": [false, true], "init": true, "depth": 16, "keep_metadata": true, "film": null}',NULL,'b',1790000125.0,1790000125.0,1790000130.0,1,NULL,NULL,2.0,0.0,NULL,NULL,NULL,NULL,'{"type": "/docs#over_limit", "title": "A picture is over a limit", "status": 413, "detail": "too large", "code": "over_limit"}',0,-1,2);
INSERT INTO "jobs" VALUES(3,'00000000000000000000000000000003','stopped',0,'job 3','{"recipe": {"name": "sketch"}, "names": ["walk.mp4", "wall.png"], "shipped": [null], "sizes": [[64, 48], [64, 56]], "masks": [], "style_masks": [], "init": false, "depth": 8, "keep_metadata": false, "film": {"frames": 12, "rate": "12", "suffix": ".mp4", "stability": 0.8, "preview": true}}',NULL,'b',1790000190.0,1790000190.0,1790000195.0,1,NULL,NULL,2.0,0.0,NULL,32,24,NULL,NULL,0,-1,2);
INSERT INTO "jobs" VALUES(4,'00000000000000000000000000000004','cancelled',1,'job 4','{"recipe": {"name": "sketch"}, "names": ["holiday.png", "wall.png"], "shipped": [null], "sizes": [[64, 48], [64, 56]], "masks": [], "style_masks": [], "init": false, "depth": 8, "keep_metadata": false, "film": null}',NULL,'b',1790000255.0,NULL,1790000255.0,0,NULL,NULL,0.0,0.0,NULL,NULL,NULL,NULL,NULL,0,-1,1);
INSERT INTO "jobs" VALUES(5,'00000000000000000000000000000005','running',0,'job 5','{"recipe": {"name": "sketch"}, "names": ["holiday.png", "wall.png"], "shipped": [null], "sizes": [[64, 48], [64, 56]], "masks": [], "style_masks": [], "init": false, "depth": 8, "keep_metadata": false, "film": null}',NULL,'b',1790000315.0,1790000315.0,NULL,1,'w',NULL,0.0,0.0,NULL,NULL,NULL,NULL,NULL,0,-1,1);
INSERT INTO "jobs" VALUES(6,'00000000000000000000000000000006','queued',0,'waits   for é','{"recipe": {"name": "sketch"}, "names": ["holiday.png", "wall.png"], "shipped": [null], "sizes": [[64, 48], [64, 56]], "masks": [], "style_masks": [], "init": false, "depth": 8, "keep_metadata": false, "film": null}',NULL,'b',1790000375.0,NULL,NULL,0,NULL,NULL,0.0,0.0,NULL,NULL,NULL,NULL,NULL,0,-1,0);
CREATE TABLE totals (name TEXT PRIMARY KEY, value REAL NOT NULL);
INSERT INTO "totals" VALUES('accepted',6.0);
INSERT INTO "totals" VALUES('done',1.0);
INSERT INTO "totals" VALUES('seconds',6.0);
INSERT INTO "totals" VALUES('failed',1.0);
INSERT INTO "totals" VALUES('stopped',1.0);
INSERT INTO "totals" VALUES('cancelled',1.0);
CREATE INDEX waiting ON jobs (state, draft DESC, seq);
CREATE TRIGGER ended AFTER UPDATE ON jobs
WHEN OLD.ended IS NULL AND NEW.ended IS NOT NULL BEGIN
    INSERT INTO totals VALUES (NEW.state, 1)
    ON CONFLICT (name) DO UPDATE SET value = value + excluded.value;
END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('jobs',6);
COMMIT;
