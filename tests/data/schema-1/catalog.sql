BEGIN TRANSACTION;
CREATE TABLE batches (
	seq INTEGER NOT NULL, 
	fingerprint VARCHAR NOT NULL, 
	first_row INTEGER NOT NULL, 
	rows INTEGER NOT NULL, 
	checksum BLOB NOT NULL, 
	PRIMARY KEY (seq)
);
INSERT INTO "batches" VALUES(1,'c0105',0,7,X'EAADE0C1477E2202FF56DF64460ED1E0');
INSERT INTO "batches" VALUES(2,'c0105',7,2,X'8EC65A754686D860870700B9C23A6CBF');
INSERT INTO "batches" VALUES(3,'c0105',9,1,X'9C874E739040FD22F56367990A84C910');
CREATE TABLE embeddings (
	fingerprint VARCHAR NOT NULL, 
	modality VARCHAR NOT NULL, 
	digest BLOB NOT NULL, 
	"row" INTEGER NOT NULL, 
	PRIMARY KEY (fingerprint, modality, digest)
);
INSERT INTO "embeddings" VALUES('c0105','image',X'5BE838132010E159946F06ABEA84F981',0);
INSERT INTO "embeddings" VALUES('c0105','image',X'0B783BA90CD9235A68AF893A3D0C4622',1);
INSERT INTO "embeddings" VALUES('c0105','image',X'A213D4B2F39A3EC3094B78303D5AEA87',2);
INSERT INTO "embeddings" VALUES('c0105','image',X'26394B966AFF5EA4B5C9B49BA72F9ED0',3);
INSERT INTO "embeddings" VALUES('c0105','text',X'3E37CC29FA30C2A1D99107FC5DC79888',4);
INSERT INTO "embeddings" VALUES('c0105','text',X'2081C10B36E209CC17710FB4C4703138',5);
INSERT INTO "embeddings" VALUES('c0105','text',X'453EF15885F4E6EB7CA87226604C7D4F',6);
INSERT INTO "embeddings" VALUES('c0105','image',X'F611A39E8EB151D55322582F4DED594B',7);
INSERT INTO "embeddings" VALUES('c0105','image',X'79F146DB64BAA802AFAC480013060235',8);
INSERT INTO "embeddings" VALUES('c0105','text',X'143BB9119A5FF0C5E2AC2E703F64E115',9);
CREATE TABLE failures (
	"key" TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	size_bytes BIGINT, 
	mtime_ns BIGINT, 
	PRIMARY KEY ("key")
);
INSERT INTO "failures" VALUES('photos/broken.jpg','photos/broken.jpg: not a picture in any format that can be read here, whatever its name says; rename it or export it as JPEG or PNG',17,1795594017808918288);
INSERT INTO "failures" VALUES('sku2','photos/broken.jpg: not a picture in any format that can be read here, whatever its name says; rename it or export it as JPEG or PNG',17,1795594017808918288);
CREATE TABLE items (
	id INTEGER NOT NULL, 
	"key" TEXT, 
	state VARCHAR NOT NULL, 
	origin TEXT, 
	"group" TEXT, 
	path TEXT, 
	text TEXT, 
	attributes JSON NOT NULL, 
	image_digest BLOB, 
	text_digest BLOB, 
	size_bytes BIGINT, 
	mtime_ns BIGINT, 
	seq INTEGER NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE ("key")
);
INSERT INTO "items" VALUES(1,'photos/note.txt','live',NULL,NULL,NULL,'something green','{}',NULL,X'3E37CC29FA30C2A1D99107FC5DC79888',15,1795594017808845130,1);
INSERT INTO "items" VALUES(2,NULL,'removed',NULL,NULL,'photos/black.png',NULL,'{}',X'5BE838132010E159946F06ABEA84F981',NULL,2937,1795594017808510322,5);
INSERT INTO "items" VALUES(3,'photos/blue.png','live',NULL,NULL,'photos/blue.png','a blue square','{}',X'0B783BA90CD9235A68AF893A3D0C4622',X'2081C10B36E209CC17710FB4C4703138',2954,1795594017802452669,1);
INSERT INTO "items" VALUES(4,'photos/green.png','live',NULL,NULL,'photos/green.png',NULL,'{}',X'A213D4B2F39A3EC3094B78303D5AEA87',NULL,2940,1795594017801760711,1);
INSERT INTO "items" VALUES(5,'photos/red.png','live',NULL,NULL,'photos/red.png','a red square','{}',X'26394B966AFF5EA4B5C9B49BA72F9ED0',X'453EF15885F4E6EB7CA87226604C7D4F',2959,1795594017800618899,1);
INSERT INTO "items" VALUES(6,'photos/white.png','missing',NULL,NULL,'photos/white.png',NULL,'{}',X'F611A39E8EB151D55322582F4DED594B',NULL,2869,1795594017803636059,4);
INSERT INTO "items" VALUES(7,'photos/yellow.png','live',NULL,NULL,'photos/yellow.png',NULL,'{}',X'79F146DB64BAA802AFAC480013060235',NULL,2964,1795594017803087350,2);
INSERT INTO "items" VALUES(8,'sku1','live','products.csv',NULL,'photos/red.png','red thing','{"price": 5}',X'26394B966AFF5EA4B5C9B49BA72F9ED0',X'143BB9119A5FF0C5E2AC2E703F64E115',2959,1795594017800618899,3);
CREATE TABLE meta (
	name VARCHAR NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "meta" VALUES('schema','1');
INSERT INTO "meta" VALUES('seq','5');
INSERT INTO "meta" VALUES('encoder','{"name": "colours", "fingerprint": "c0105", "dim": 16}');
CREATE TABLE runs (
	id INTEGER NOT NULL, 
	finished_at VARCHAR NOT NULL, 
	report JSON NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "runs" VALUES(1,'2026-11-25T08:06:58+00:00','{"added": 7, "changed": 0, "moved": 0, "returned": 0, "missing": 0, "unchanged": 0, "failures": [{"key": "photos/broken.jpg", "reason": "photos/broken.jpg: not a picture in any format that can be read here, whatever its name says; rename it or export it as JPEG or PNG"}], "decoded": 6, "encoded_images": 6, "encoded_texts": 3, "seconds": 0.14868444099920453, "images_per_second": 40.3539197489541, "bottleneck": "commit", "interrupted": false, "notes": []}');
INSERT INTO "runs" VALUES(2,'2026-11-25T08:06:58+00:00','{"added": 1, "changed": 0, "moved": 0, "returned": 0, "missing": 0, "unchanged": 0, "failures": [{"key": "sku2", "reason": "photos/broken.jpg: not a picture in any format that can be read here, whatever its name says; rename it or export it as JPEG or PNG"}], "decoded": 0, "encoded_images": 0, "encoded_texts": 1, "seconds": 0.04504659099984565, "images_per_second": 0.0, "bottleneck": "commit", "interrupted": false, "notes": []}');
INSERT INTO "runs" VALUES(3,'2026-11-25T08:06:58+00:00','{"added": 0, "changed": 0, "moved": 0, "returned": 0, "missing": 1, "unchanged": 6, "failures": [{"key": "photos/broken.jpg", "reason": "photos/broken.jpg: not a picture in any format that can be read here, whatever its name says; rename it or export it as JPEG or PNG"}], "decoded": 0, "encoded_images": 0, "encoded_texts": 0, "seconds": 0.008501065998643753, "images_per_second": 0.0, "bottleneck": "none", "interrupted": false, "notes": []}');
CREATE INDEX ix_items_seq ON items (seq);
CREATE INDEX batches_by_end ON batches (fingerprint, first_row);
COMMIT;
