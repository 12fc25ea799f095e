/** The statements that write events: together all of them once, in order, and none too large. */
import { describe, expect, it } from 'vitest';
import { outboxParts } from '../../src/store/outbox-parts.ts';
import { seededRandom } from '../support/batches.ts';

interface Endpoint {
  readonly id: number;
  readonly kinds: readonly number[];
}

interface Event {
  readonly id: number;
  readonly kind: number;
  readonly bytes: number;
}

const wants = ({ kinds }: Endpoint, { kind }: Event): boolean => kinds.includes(kind);

/** The rows that parts write, each part in the order of its rows, and the size of each. */
function written(
  endpoints: readonly Endpoint[],
  events: readonly Event[],
  limits: { rows: number; bytes: number },
) {
  return [...outboxParts(endpoints, events, wants, limits)].map((part) => {
    const rows = part.endpoints.flatMap((endpoint) =>
      part.events
        .filter((event) => wants(endpoint, event))
        .map((event) => ({ row: [endpoint.id, event.id] as const, bytes: event.bytes })),
    );
    rows.sort((a, b) => a.row[0] - b.row[0] || a.row[1] - b.row[1]);
    return rows;
  });
}

describe('the statements of the outbox', () => {
  it('write each event once for each endpoint that wants it, in the order of the key, and none is too large', () => {
    const random = seededRandom(Number(process.env['TEST_SEED'] ?? 7));
    const below = (n: number): number => Math.floor(random() * n);
    for (let round = 0; round < 300; round += 1) {
      const endpoints = Array.from({ length: below(8) }, (_, id) => ({
        id,
        kinds: [0, 1, 2].filter(() => random() < 0.6),
      }));
      const events = Array.from({ length: below(30) }, (_, id) => ({ id, kind: below(3), bytes: below(40) }));
      const limits = { rows: 1 + below(40), bytes: 1 + below(400) };
      const parts = written(endpoints, events, limits);
      for (const part of parts) {
        const bytes = part.reduce((sum, row) => sum + row.bytes, 0);
        expect(part.length).toBeGreaterThan(0);
        expect(part.length).toBeLessThanOrEqual(limits.rows);
        if (part.length > 1) expect(bytes).toBeLessThanOrEqual(limits.bytes);
      }
      const wanted = endpoints.flatMap((endpoint) =>
        events.filter((event) => wants(endpoint, event)).map((event) => [endpoint.id, event.id]),
      );
      expect(parts.flat().map(({ row }) => row)).toEqual(wanted);
    }
  });

  it('are one where all fits', () => {
    const endpoints = [0, 1, 2].map((id) => ({ id, kinds: [0] }));
    const events = [0, 1, 2, 3].map((id) => ({ id, kind: 0, bytes: 10 }));
    expect(written(endpoints, events, { rows: 12, bytes: 120 })).toHaveLength(1);
  });
});
