/**
 * Loaded into a process of Inlet before anything else (`--import`): modules of dist/ are exchanged for stand-ins, which
 * import the real one and change what a test wants changed. So the command is composed as always, and nothing of
 * it is in the product. STAND_INS is JSON: `{"ingest/worker.js": "file:///…/stand-in.mjs", …}`; without it nothing
 * happens.
 */
import { register } from 'node:module';

const standIns = JSON.parse(process.env.STAND_INS ?? '{}');
if (Object.keys(standIns).length > 0) {
  register('./exchange-hooks.mjs', import.meta.url, { data: { standIns } });
}
