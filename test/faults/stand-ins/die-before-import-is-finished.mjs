/** A crash after the commit of the last chunk, before the import is finished. For `store/imports.js` of a worker. */
import { die } from './die.mjs';

export * from '../../../dist/store/imports.js';

export async function finishImport(database, requestId) {
  const [row] = await database.query({
    text: 'SELECT 1 FROM inlet.imports WHERE request_id = $1 AND chunks = stored_chunks',
    values: [requestId],
  });
  if (row) die();
}
