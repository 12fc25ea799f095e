// A process that owns an embedded PostgreSQL, for tests that kill it: `node embedded-owner.mjs DATA_DIR`.
// Prints a line of JSON: {"url": …} when the server runs, {"refused": …} when it wasn't allowed to.
import { startEmbeddedPostgres } from '../../dist/store/embedded.js';

process.on('SIGINT', () => {}); // like Inlet, which goes on until its jobs are stored
const log = { info() {}, warn() {} };
try {
  const { url } = await startEmbeddedPostgres({ dataDir: process.argv[2], log });
  process.stdout.write(`${JSON.stringify({ url })}\n`);
  setInterval(() => {}, 1_000_000);
} catch (error) {
  process.stdout.write(`${JSON.stringify({ refused: error.message })}\n`);
}
