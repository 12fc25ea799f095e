/** Every parser of what clients send takes time in proportion to its length, whatever it says. */
import { expect, it } from 'vitest';
import { readLine } from '../../src/domain/chunks.ts';
import { readDiscardSome, readReplaySome } from '../../src/domain/failed-bodies.ts';
import { LineSplitter } from '../../src/domain/lines.ts';
import { readWrite } from '../../src/domain/objects.ts';
import { locateRequest } from '../../src/domain/request-id.ts';
import { readSettings, readUploadOptions } from '../../src/domain/settings.ts';
import { isSigned } from '../../src/domain/signature.ts';
import { atOnce } from '../../src/domain/slices.ts';
import { storableText } from '../../src/domain/storable.ts';
import { readEndpointChanges, readNewEndpoint, readReplay } from '../../src/domain/webhook-endpoint.ts';
import { encodingName } from '../../src/http/decoders.ts';
import { readPage } from '../../src/http/paging.ts';
import { kindOf } from '../../src/telemetry/throttle.ts';
import { createUrlCheck } from '../../src/webhooks/endpoint-url.ts';
import { adversarialBodies, adversarialLines } from '../support/adversarial-texts.ts';
import { cpuMs } from '../support/cpu-time.ts';

/** Lengths of texts, in bytes: those of objects are read in another way from 256 KiB on. */
const SIZE = 250_000;
const LARGE_SIZE = 300_000;

/** The most CPU time that a parser may take for one, in milliseconds: half a second for a megabyte. */
const BOUND_MS = 150;

const urlMistake = createUrlCheck({ allowHttp: true, isAllowedAddress: () => true });

type Parsers = Readonly<Record<string, (text: string) => unknown>>;

const OBJECT_PARSERS: Parsers = {
  'a write': (text) => readWrite(text, 10_000),
  'lines of a file': (text) => {
    const splitter = new LineSplitter(LARGE_SIZE);
    const bytes = Buffer.from(text);
    for (let i = 0; i < bytes.length; i += 65_536) {
      for (const line of splitter.push(bytes.subarray(i, i + 65_536))) void readLine(line);
    }
    return splitter.end();
  },
};

const PARSERS: Parsers = {
  ...OBJECT_PARSERS,
  settings: (text) => atOnce(readSettings(text)),
  'upload options': (text) => atOnce(readUploadOptions(text)),
  'a new endpoint': (text) => readNewEndpoint(text, urlMistake),
  'changes of an endpoint': (text) => readEndpointChanges(text, urlMistake),
  'a replay of deliveries': readReplay,
  'a replay of objects': readReplaySome,
  'a discard': readDiscardSome,
  'a URL of an endpoint': urlMistake,
  'a cursor': (cursor) => readPage({ cursor }),
  'a limit': (limit) => readPage({ limit }),
  'a request id': locateRequest,
  'a signature': (signature) => isSigned(Buffer.alloc(32), '/', { expires: signature, signature }),
  'a content encoding': encodingName,
  'an error': (text) => kindOf(new Error(text)),
  'a text for Postgres': storableText,
};

/** What it says of its input is not the question here. */
function tried(run: () => unknown): void {
  try {
    run();
  } catch {
    // Nearly all of it is refused.
  }
}

function expectFast(parsers: Parsers, text: string): void {
  for (const [name, parse] of Object.entries(parsers)) {
    expect(
      cpuMs(() => tried(() => parse(text)), BOUND_MS),
      name,
    ).toBeLessThan(BOUND_MS);
  }
}

function textsOf(size: number): [string, () => string][] {
  return Object.entries({ ...adversarialBodies(size), ...adversarialLines(size) });
}

it.each(textsOf(SIZE))('%s', (_body, make) => expectFast(PARSERS, make()));

it.each(textsOf(LARGE_SIZE))('%s, and more', (_body, make) => {
  expectFast(OBJECT_PARSERS, make());
});
