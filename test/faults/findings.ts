/** What the checks share: the history and the end state, put in relation to each other, and what was found. */
import type { EndState, History, Operation, Order, StoredRequest, StoredVersion, Write } from './history.ts';

/** What a finding is about. */
export type Rule =
  | 'lost'
  | 'lost and not named'
  | 'false alarm'
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

/** How exactly times of stamps are those of clients, in milliseconds. */
const PRECISION_MS = 100;

interface Span {
  readonly from: number;
  readonly to: number;
}

function overlap(a: Span, b: Span): boolean {
  return a.from <= b.to + PRECISION_MS && a.to >= b.from - PRECISION_MS;
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

  /**
   * Whether something acknowledged is gone, wholly or, of an import, in part: then a disaster has to have had it in its
   * reach, and Inlet has to say that it may be lost.
   */
  isGone({ kind, requestId }: Operation): boolean {
    const row = this.row(requestId);
    return !row || (kind === 'import' && row.status !== 'succeeded' && row.status !== 'failed');
  }

  /** Whether something acknowledged is gone, and Inlet's promise is kept all the same. */
  isExcused(operation: Operation): boolean {
    if (operation.outcome !== 'acknowledged' || !this.isGone(operation)) return false;
    return this.disastersOf(operation).length > 0 && this.lossesOf(operation).length > 0;
  }

  /** The disasters that may have taken an operation. */
  disastersOf({ begunAt, endedAt }: Operation) {
    const { allowedLosses = [] } = this.history;
    return allowedLosses.filter(({ from, to }) => endedAt >= from && begunAt <= to);
  }

  /** The losses that Inlet tells of and that an operation may belong to. */
  lossesOf({ begunAt, endedAt }: Operation) {
    const stamps = this.inStamps({ from: begunAt, to: endedAt });
    return this.end.losses.filter((loss) => overlap(loss, stamps));
  }

  /** Times as the stamps of then tell them. */
  inStamps({ from, to }: Span): Span {
    const { clockBehindSince = Infinity } = this.history;
    return { from: Math.min(from, clockBehindSince), to: Math.min(to, clockBehindSince) };
  }

  /** Losses that Inlet tells of and that no disaster explains. */
  get falseAlarms() {
    const { allowedLosses = [] } = this.history;
    return this.end.losses.filter((loss) => !allowedLosses.some((one) => overlap(loss, this.inStamps(one))));
  }

  /**
   * Where a stored version stands in the order. A line of a file stands where its request does: greater stamps of its own
   * would put it before what was accepted later. An upload before the last one has a smaller one.
   */
  rankOfVersion(version: StoredVersion): StoredVersion {
    const { order } = version;
    const row = this.row(version.requestId)?.order;
    if (!order || !row) return version;
    return { ...version, order: { ...order, stamp: Math.min(order.stamp, row.stamp) } };
  }

  /** When an operation was accepted; undefined where it isn't known that it was. */
  rankOf(operation: Operation): Rank | undefined {
    if (this.#doubtful.has(operation)) return undefined;
    if (operation.outcome !== 'acknowledged') {
      // Its row is older than its upload.
      if (operation.kind === 'import') return undefined;
      // Where rows are lost, the one that is taken for its own may be another's.
      if (this.history.allowedLosses?.length) return undefined;
    }
    return this.row(this.requestIdOf(operation));
  }
}
