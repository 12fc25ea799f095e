/**
 * Loaded into a process of Inlet before anything else (`--import`): its wall clock runs ahead or behind by as many
 * milliseconds as stand in the file that CLOCK_FILE names, from the moment that they stand there. Without that variable
 * nothing happens.
 */
import { readFileSync } from 'node:fs';

const LOOK_EVERY_MS = 50;
const RealDate = Date;
let offsetMs = 0;

function look() {
  try {
    offsetMs = Number(readFileSync(process.env.CLOCK_FILE, 'utf8')) || 0;
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
    offsetMs = 0;
  }
}

const SteppedDate = class extends RealDate {
  constructor(...args) {
    if (args.length === 0) super(RealDate.now() + offsetMs);
    else super(...args);
  }

  static now() {
    return RealDate.now() + offsetMs;
  }
};

if (process.env.CLOCK_FILE !== undefined) {
  globalThis.Date = SteppedDate;
  look();
  setInterval(look, LOOK_EVERY_MS).unref();
}
