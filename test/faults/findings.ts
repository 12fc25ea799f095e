/** What the checks share: the history and the end state, put in relation to each other, and what was found. */
import type { EndState, History, Operation, Order, StoredRequest, Write } from './history.ts';

/** What a finding is about. */
export type Rule =
  | 'lost'
  | 'invented'
  | 'refused but stored'
  | 'accepted out of order'
  | 'went back'
  | 'history'
  | 'request'
  | 'failed object'
  | 'reads differ'
  | 'left over'
  | 'answer';

export interface Finding {
  readonly rule: Rule;
  readonly detail: string;
}

/** A place in the order in which writes were accepted. */
export interface Rank {
  readonly acceptedAt: number;
  readonly requestId: string;
  readonly order?: Order;
}

/** Negative where `a` was accepted before `b`. */
export function compareRanks(a: Rank, b: Rank): number {
  const order = ({ acceptedAt, order }: Rank): Order => order ?? { stamp: acceptedAt, part: 0 };
  if (order(a).stamp !== order(b).stamp) return order(a).stamp - order(b).stamp;
  if (a.requestId !== b.requestId) return a.requestId < b.requestId ? -1 : 1;
  return order(a).part - order(b).part;
}

/** The write of an id that counts in its operation: the last one that can be stored. */
export function lastWrite(operation: Operation, id: string): Write | undefined {
  return operation.writes.findLast((write) => write.id === id && !write.fails);
}

/** Items by a key of theirs, in their order. */
export function groupBy<Item>(items: Iterable<Item>, key: (item: Item) => string): Map<string, Item[]> {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const group = groups.get(key(item));
    if (group) group.push(item);
    else groups.set(key(item), [item]);
  }
  return groups;
}

export class Findings {
  readonly history: History;
  readonly end: EndState;
  readonly list: Finding[] = [];
  readonly #sent = new Map<string, { readonly operation: Operation; readonly write: Write }>();
  readonly #requestIds = new Map<Operation, string>();
  readonly #operations = new Map<string, Operation>();
  readonly #doubtful = new Set<Operation>();
  readonly #rows: ReadonlyMap<string, StoredRequest>;

  constructor(history: History, end: EndState) {
    this.history = history;
    this.end = end;
    this.#rows = new Map(end.requests.map((row) => [row.requestId, row]));
    for (const operation of history.operations) {
      if (operation.requestId !== undefined) this.assign(operation, operation.requestId);
      for (const write of operation.writes) {
        if (write.data) this.#sent.set(write.data.v, { operation, write });
      }
    }
  }

  add(rule: Rule, detail: string): void {
    this.list.push({ rule, detail });
  }

  /** Who has sent a version. */
  sent(v: string | undefined): { readonly operation: Operation; readonly write: Write } | undefined {
    return v === undefined ? undefined : this.#sent.get(v);
  }

  /** Notes under which request an operation was taken of which the client doesn't know. */
  assign(operation: Operation, requestId: string): void {
    this.#requestIds.set(operation, requestId);
    this.#operations.set(requestId, operation);
  }

  /** Notes that an operation's request may be that of another one as well: its times say nothing of the request's. */
  doubt(operation: Operation): void {
    this.#doubtful.add(operation);
  }

  /** An operation's request, as the client was told, or as is seen from what is stored. */
  requestIdOf(operation: Operation): string | undefined {
    return this.#requestIds.get(operation);
  }

  operationOf(requestId: string): Operation | undefined {
    return this.#operations.get(requestId);
  }

  row(requestId: string | undefined): StoredRequest | undefined {
    return requestId === undefined ? undefined : this.#rows.get(requestId);
  }

  /** When an operation was accepted; undefined where it isn't known that it was. */
  rankOf(operation: Operation): Rank | undefined {
    if (this.#doubtful.has(operation)) return undefined;
    // Its row is older than its upload.
    if (operation.kind === 'import' && operation.outcome !== 'acknowledged') return undefined;
    return this.row(this.requestIdOf(operation));
  }
}
