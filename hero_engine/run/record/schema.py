"""The tables of run.sqlite, their version, and how a record of an earlier version gets there."""

SCHEMA_VERSION = 6

TABLES = """
CREATE TABLE run (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 0),
    state TEXT NOT NULL, error TEXT NOT NULL DEFAULT '', created REAL NOT NULL,
    judge TEXT,  -- whose judgement the figures are; NULL: the oracle's
    start_learned REAL,  -- when the pictures of `start` had been learned from
    start_outcome TEXT NOT NULL DEFAULT ''
);
-- Pictures that were labelled before the run began; they teach it before round 0.
CREATE TABLE start (
    image INTEGER PRIMARY KEY, good INTEGER NOT NULL, best INTEGER NOT NULL
);
-- A round's times are seconds since the epoch, each set once, in this order.
CREATE TABLE rounds (
    round INTEGER PRIMARY KEY, images INTEGER NOT NULL,
    started REAL NOT NULL, first_image REAL, sampled REAL, submitted REAL, trained REAL,
    outcome TEXT NOT NULL DEFAULT '',   -- what training did, in words, when it is not the usual
    collapse TEXT NOT NULL DEFAULT '',  -- what shows in its pictures that the model has collapsed
    back_to INTEGER,                    -- and the round to go back to, if there is one
    step INTEGER NOT NULL DEFAULT 0   -- the edit that is in force; 0: none
);
CREATE TABLE images (
    round INTEGER NOT NULL, image INTEGER NOT NULL, seen INTEGER NOT NULL DEFAULT 0,
    score REAL,   -- the engine's guess of the picture, once it has learned from labels
    PRIMARY KEY (round, image)
);
-- Every state the labels of a round have been in; undo and redo move rounds.step.
CREATE TABLE edits (
    round INTEGER NOT NULL, step INTEGER NOT NULL, good TEXT NOT NULL, best TEXT NOT NULL,
    at REAL NOT NULL, unsure TEXT NOT NULL DEFAULT '[]', PRIMARY KEY (round, step)
);
-- Labels that were looked at again: each as it was, and what it should have been; NULL: as the
-- round's labels have it, which could still be changed.
CREATE TABLE second_looks (
    round INTEGER NOT NULL, image INTEGER NOT NULL, first TEXT NOT NULL, second TEXT,
    at REAL NOT NULL, PRIMARY KEY (round, image)
);
-- Finite values only: where a curve has none, it has a gap.
CREATE TABLE metrics (
    round INTEGER NOT NULL, name TEXT NOT NULL, step INTEGER NOT NULL, value REAL NOT NULL,
    PRIMARY KEY (round, name, step)
);
CREATE TABLE progress (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 0),
    phase TEXT NOT NULL, done INTEGER NOT NULL, total INTEGER NOT NULL,
    started REAL NOT NULL, updated REAL NOT NULL
);
-- A row for each time that the run went back: from then on it is line 1, 2, ... with this task.
-- Rounds that were left are not in this file any more (rollback.py).
CREATE TABLE lines (
    line INTEGER PRIMARY KEY, back_to INTEGER NOT NULL, began REAL NOT NULL, task TEXT NOT NULL,
    written INTEGER NOT NULL DEFAULT 0   -- whether task.yaml and the folders are the line's
);
-- Pictures asked for on the side; finished is NULL until the engine has seen to it.
CREATE TABLE tries (
    number INTEGER PRIMARY KEY, prompt TEXT NOT NULL, round INTEGER, images INTEGER NOT NULL
    DEFAULT 0, error TEXT NOT NULL DEFAULT '', finished REAL
);
CREATE TABLE commands (id INTEGER PRIMARY KEY, command TEXT NOT NULL, taken INTEGER NOT NULL);
-- Of the final evaluation, from each noise: images, good, diversity, and whatever else is measured.
CREATE TABLE figures (
    noise TEXT NOT NULL, name TEXT NOT NULL, value REAL NOT NULL, PRIMARY KEY (noise, name)
);
-- One judge looks at `images` pictures of each source: of the model after training the round, and
-- of the base model; once it is closed, it is known which was which, and nothing changes any more.
CREATE TABLE evaluations (
    number INTEGER PRIMARY KEY, round INTEGER NOT NULL, kind TEXT NOT NULL, judge TEXT NOT NULL,
    images INTEGER NOT NULL, began REAL NOT NULL, closed REAL
);
-- Each key of the judge is a step; of a picture, the last word counts that was not taken back.
CREATE TABLE judgements (
    evaluation INTEGER NOT NULL, step INTEGER NOT NULL, source TEXT NOT NULL,
    image INTEGER NOT NULL, verdict TEXT NOT NULL, at REAL NOT NULL,
    looked INTEGER NOT NULL DEFAULT 0,  -- not a key for this picture: its page was turned
    undone INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (evaluation, step, source, image)
);
-- What is measured of the same pictures: one by one, and of each source's first ones together.
CREATE TABLE scores (
    round INTEGER NOT NULL, source TEXT NOT NULL, image INTEGER NOT NULL, scorer TEXT NOT NULL,
    score REAL NOT NULL, PRIMARY KEY (round, source, image, scorer)
);
CREATE TABLE measured (
    round INTEGER NOT NULL, source TEXT NOT NULL, images INTEGER NOT NULL, name TEXT NOT NULL,
    value REAL NOT NULL, PRIMARY KEY (round, source, images, name)
);
"""

MIGRATIONS: dict[int, tuple[str, ...]] = {
    2: (
        "ALTER TABLE rounds ADD COLUMN collapse TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE rounds ADD COLUMN back_to INTEGER",
        """
        CREATE TABLE lines (
            line INTEGER PRIMARY KEY, back_to INTEGER NOT NULL, began REAL NOT NULL,
            task TEXT NOT NULL, written INTEGER NOT NULL DEFAULT 0
        )
        """,
        """
        CREATE TABLE figures (
            noise TEXT NOT NULL, name TEXT NOT NULL, value REAL NOT NULL, PRIMARY KEY (noise, name)
        )
        """,
        "INSERT INTO figures SELECT noise, 'images', images FROM final",
        "INSERT INTO figures SELECT noise, 'good', good FROM final",
        "INSERT INTO figures SELECT noise, 'diversity', diversity FROM final",
        "DROP TABLE final",
        "DELETE FROM metrics WHERE abs(value) = 9e999",
    ),
    3: (
        "ALTER TABLE edits ADD COLUMN unsure TEXT NOT NULL DEFAULT '[]'",
        """
        CREATE TABLE second_looks (
            round INTEGER NOT NULL, image INTEGER NOT NULL, first TEXT NOT NULL, second TEXT,
            at REAL NOT NULL, PRIMARY KEY (round, image)
        )
        """,
    ),
    4: (
        "ALTER TABLE run ADD COLUMN judge TEXT",
        """
        CREATE TABLE evaluations (
            number INTEGER PRIMARY KEY, round INTEGER NOT NULL, kind TEXT NOT NULL,
            judge TEXT NOT NULL, images INTEGER NOT NULL, began REAL NOT NULL, closed REAL
        )
        """,
        """
        CREATE TABLE judgements (
            evaluation INTEGER NOT NULL, step INTEGER NOT NULL, source TEXT NOT NULL,
            image INTEGER NOT NULL, verdict TEXT NOT NULL, at REAL NOT NULL,
            looked INTEGER NOT NULL DEFAULT 0, undone INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (evaluation, step, source, image)
        )
        """,
        """
        CREATE TABLE scores (
            round INTEGER NOT NULL, source TEXT NOT NULL, image INTEGER NOT NULL,
            scorer TEXT NOT NULL, score REAL NOT NULL,
            PRIMARY KEY (round, source, image, scorer)
        )
        """,
        """
        CREATE TABLE measured (
            round INTEGER NOT NULL, source TEXT NOT NULL, images INTEGER NOT NULL,
            name TEXT NOT NULL, value REAL NOT NULL, PRIMARY KEY (round, source, images, name)
        )
        """,
    ),
    5: (
        "ALTER TABLE run ADD COLUMN start_learned REAL",
        "ALTER TABLE run ADD COLUMN start_outcome TEXT NOT NULL DEFAULT ''",
        """
        CREATE TABLE start (
            image INTEGER PRIMARY KEY, good INTEGER NOT NULL, best INTEGER NOT NULL
        )
        """,
    ),
}
"""The statements that make a record of each earlier version one of the next."""
