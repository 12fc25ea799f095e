-- Evaluation: what an evaluator answers about objects, after they were stored.

-- What is still to be evaluated: a request, or a chunk of an import. Written in the transaction that stores the objects,
-- and deleted in the one that keeps the last of their output.
CREATE TABLE inlet.evaluations (
  request_id text COLLATE "C" NOT NULL,
  -- Of an import; -1 for any other request.
  chunk      integer NOT NULL DEFAULT -1,
  -- The batch that it came with. All of a batch is one task of the queue.
  batch_id   text COLLATE "C" NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (request_id, chunk)
);

CREATE INDEX evaluations_by_batch ON inlet.evaluations (batch_id);

COMMENT ON TABLE inlet.evaluations IS 'Requests and chunks of imports whose objects are stored and still to be evaluated';

-- Beside the objects and not in their rows: an output is no new version of an object, and an object that is
-- overwritten keeps the output of its former version until there is a new one.
CREATE TABLE inlet.outputs (
  namespace    text COLLATE "C" NOT NULL,
  id           text COLLATE "C" NOT NULL,
  -- The revision of the object that was evaluated.
  revision     bigint NOT NULL,
  -- {"actions", "labels", "fields"}; NULL where the evaluator failed.
  output       jsonb,
  error        text,
  evaluated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (namespace, id),
  CHECK ((output IS NULL) = (error IS NOT NULL))
);

COMMENT ON TABLE inlet.outputs IS 'The latest output of the evaluator for each object';
