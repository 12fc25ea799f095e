/**
 * Which statements together write a row for each of some events and each endpoint that wants it. One statement for 10,000
 * events and 500 endpoints would run for a minute, and could become too large for Postgres.
 */

/** What one statement writes: each of the events, for each of the endpoints that wants it. */
interface Part<Endpoint, Event> {
  readonly endpoints: readonly Endpoint[];
  readonly events: readonly Event[];
}

/** Most rows of a statement, and most bytes of them unless it is one row: half a second, where 60 are allowed. */
const LIMITS = { rows: 50_000, bytes: 16 * 1024 * 1024 } as const;

/**
 * The parts in the order of the rows' key, by endpoint and then by event: so two workers with the same events never wait for
 * each other in a circle.
 * @param endpoints in the order of their ids
 * @param events in the order of theirs, each with the bytes that its row takes up
 * @param wants whether an endpoint wants an event
 */
export function* outboxParts<Endpoint, Event extends { readonly bytes: number }>(
  endpoints: readonly Endpoint[],
  events: readonly Event[],
  wants: (endpoint: Endpoint, event: Event) => boolean,
  limits: { readonly rows: number; readonly bytes: number } = LIMITS,
): Generator<Part<Endpoint, Event>> {
  const fits = (rows: number, bytes: number) => rows <= limits.rows && bytes <= limits.bytes;
  let gathered = { endpoints: [] as Endpoint[], events: new Set<Event>(), rows: 0, bytes: 0 };
  for (const endpoint of endpoints) {
    const wanted = events.filter((event) => wants(endpoint, event));
    const rows = wanted.length;
    const bytes = wanted.reduce((sum, event) => sum + event.bytes, 0);
    if (gathered.rows > 0 && !fits(gathered.rows + rows, gathered.bytes + bytes)) {
      yield { endpoints: gathered.endpoints, events: [...gathered.events] };
      gathered = { endpoints: [], events: new Set(), rows: 0, bytes: 0 };
    }
    if (fits(rows, bytes)) {
      gathered.endpoints.push(endpoint);
      for (const event of wanted) gathered.events.add(event);
      gathered.rows += rows;
      gathered.bytes += bytes;
    } else {
      for (const some of stretches(wanted, fits)) yield { endpoints: [endpoint], events: some };
    }
  }
  if (gathered.rows > 0) yield { endpoints: gathered.endpoints, events: [...gathered.events] };
}

/** Cuts a list into pieces that fit, or have one item. */
function* stretches<Event extends { readonly bytes: number }>(
  events: readonly Event[],
  fits: (rows: number, bytes: number) => boolean,
): Generator<Event[]> {
  let some: Event[] = [];
  let bytes = 0;
  for (const event of events) {
    if (some.length > 0 && !fits(some.length + 1, bytes + event.bytes)) {
      yield some;
      some = [];
      bytes = 0;
    }
    some.push(event);
    bytes += event.bytes;
  }
  if (some.length > 0) yield some;
}
