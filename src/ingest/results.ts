/** The results of a request that is done, a page at a time: however many there are, few are in memory. */
import { EMPTY_OUTPUT } from '../domain/output.ts';
import type { Queryable } from '../store/database.ts';
import { countImportIds, importIds } from '../store/imports.ts';
import { hasOutputs } from '../store/outputs.ts';
import type { RequestRecord } from '../store/requests.ts';
import { countStoredIds, readResults, storedIdPages } from '../store/results.ts';
import { findMetadataFields } from '../store/settings.ts';

/** One object of a request. */
export interface Result {
  readonly id: string;
  /** JSON text: the object's values of the fields that its namespace calls metadata. */
  readonly metadata: string;
  /** JSON text: what the evaluator has answered about it; empty where that is nothing. */
  readonly output: string;
  /** Why the evaluator has failed; undefined where it has not. */
  readonly evaluationError: string | undefined;
}

/** Most objects that one statement is asked for. */
const PAGE_OBJECTS = 500;
/** About how many bytes of metadata and outputs one statement may answer with. */
const PAGE_BYTES = 512 * 1024;

/** The ids of a request's objects that did not fail, in its order, each once. */
function resultIds(on: Queryable, request: RequestRecord): AsyncIterable<readonly string[]> {
  return request.isImport ? importIds(on, request.id) : storedIdPages(on, request.id);
}

/** How many results a request has. */
export function countResults(on: Queryable, request: RequestRecord): Promise<number> {
  return request.isImport ? countImportIds(on, request.id) : countStoredIds(on, request.id);
}

/** A request's results, with metadata and outputs as they are when the page is read. */
export async function* resultPages(on: Queryable, request: RequestRecord): AsyncGenerator<readonly Result[]> {
  const fields = await findMetadataFields(on, request.namespace);
  const isPlain = fields.length === 0 && !(await hasOutputs(on));
  for await (const ids of resultIds(on, request)) {
    for (let from = 0; from < ids.length; ) {
      const wanted = ids.slice(from, from + PAGE_OBJECTS);
      const page = isPlain
        ? wanted.map((id) => ({ id, ...PLAIN }))
        : await describe(on, request.namespace, wanted, fields);
      yield page;
      from += page.length;
    }
  }
}

/** What is shown where no field is metadata and nothing was ever evaluated. */
const PLAIN = { metadata: '{}', output: EMPTY_OUTPUT, evaluationError: undefined };

async function describe(
  on: Queryable,
  namespace: string,
  ids: readonly string[],
  fields: readonly string[],
): Promise<Result[]> {
  const found = await readResults(on, namespace, ids, fields, PAGE_BYTES);
  return found.map(({ metadata, output, error }, index) => ({
    id: ids[index] ?? '',
    metadata,
    output: output ?? EMPTY_OUTPUT,
    evaluationError: error ?? undefined,
  }));
}
