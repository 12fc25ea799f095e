/** What is measured in a full run, and in a quick one. */
import type { ObjectKind } from './objects.ts';
import type { TableState } from './store.ts';
import type { SystemKey } from './systems/system.ts';
import type { Workload } from './workloads/workload.ts';

export interface Plan {
  readonly rounds: number;
  /** The load that each server gets before the first round, in seconds. */
  readonly warmUpSeconds: number;
  /** Objects in the table that existing ones are overwritten in, and in the large one. */
  readonly existingRows: number;
  readonly fullRows: number;
  readonly workloads: readonly Workload[];
}

/** How much of everything. */
interface Sizes {
  readonly seconds: number;
  readonly listObjects: number;
  readonly importObjects: number;
  readonly pacedSeconds: number;
  readonly oneByOne: number;
}

const FULL: Sizes = {
  seconds: 8,
  listObjects: 200_000,
  importObjects: 1_000_000,
  pacedSeconds: 10,
  oneByOne: 500,
};

const QUICK: Sizes = {
  seconds: 2,
  listObjects: 40_000,
  importObjects: 50_000,
  pacedSeconds: 3,
  oneByOne: 150,
};

const SERVERS: readonly SystemKey[] = ['a', 'b', 'c', 'd', 'e'];

/** Documents are about eleven times as large as profiles, so there are so many times fewer of them. */
const DOCUMENT_SHARE = 1 / 10;

const PLACES: Readonly<Record<TableState, string>> = {
  empty: '',
  existing: ', overwriting',
  full: ', into the large table',
};
const OBJECTS: Readonly<Record<ObjectKind, string>> = { profile: '450 B', document: '5 kB' };

type Choice = Partial<Pick<Workload, 'object' | 'table'>>;

function keyOf(name: string, { object = 'profile', table = 'empty' }: Choice): string {
  return [name, ...(object === 'profile' ? [] : [object]), ...(table === 'empty' ? [] : [table])].join('-');
}

function singles(
  sizes: Sizes,
  connections: number,
  systems: readonly SystemKey[],
  choice: Choice = {},
): Workload {
  const { object = 'profile', table = 'empty' } = choice;
  return {
    key: keyOf(`singles-${connections}`, choice),
    title: `singles of ${OBJECTS[object]}, ${connections} connections${PLACES[table]}`,
    kind: 'saturated',
    ...{ object, table, connections, systems, listLength: 0, seconds: sizes.seconds },
    // Each existing object is overwritten once, so that it can be counted.
    objects: table === 'existing' ? sizes.listObjects : 0,
  };
}

function lists(sizes: Sizes, systems: readonly SystemKey[], choice: Choice = {}): Workload {
  const { object = 'profile', table = 'empty' } = choice;
  const share = object === 'profile' ? 1 : DOCUMENT_SHARE;
  return {
    key: keyOf('lists', choice),
    title: `lists of 100 of ${OBJECTS[object]}, 16 connections${PLACES[table]}`,
    kind: 'saturated',
    ...{ object, table, systems, connections: 16, listLength: 100 },
    // A number rather than a time: what takes more than it stores would have to be waited for.
    ...{ seconds: 60, objects: Math.round(sizes.listObjects * share) },
  };
}

function imports(sizes: Sizes, systems: readonly SystemKey[], object: ObjectKind = 'profile'): Workload {
  const objects = sizes.importObjects * (object === 'profile' ? 1 : DOCUMENT_SHARE);
  return {
    key: keyOf('import', { object }),
    title: `import of ${objects.toLocaleString('en')} lines of ${OBJECTS[object]}`,
    kind: 'import',
    ...{ object, objects, systems, table: 'empty', connections: 1, listLength: 0, seconds: 0 },
  };
}

function halfLoad(sizes: Sizes, systems: readonly SystemKey[]): Workload {
  return {
    key: 'half-load',
    title: 'singles of 450 B at half of the rate that saturates 64 connections',
    kind: 'half-load',
    ...{ object: 'profile', table: 'empty', connections: 64, listLength: 0, systems, objects: 0 },
    seconds: sizes.pacedSeconds,
  };
}

function oneByOne(sizes: Sizes, systems: readonly SystemKey[]): Workload {
  return {
    key: 'one-by-one',
    title: 'one request at a time on an idle server',
    kind: 'one-by-one',
    ...{ object: 'profile', table: 'empty', connections: 1, listLength: 0, systems, seconds: 0 },
    objects: sizes.oneByOne,
  };
}

function duringImport(sizes: Sizes, systems: readonly SystemKey[]): Workload {
  return {
    ...imports(sizes, systems),
    key: 'during-import',
    title: 'one request at a time during an import',
    kind: 'during-import',
  };
}

/** The workload that tells at which rate a server is saturated, for {@link halfLoad}. */
export const SATURATING_WORKLOAD = 'singles-64';

/** Everything, in at least five rounds. */
export function fullPlan(): Plan {
  return {
    ...{ rounds: 5, warmUpSeconds: 4, existingRows: FULL.listObjects, fullRows: 5_000_000 },
    workloads: [
      singles(FULL, 64, SERVERS),
      singles(FULL, 256, SERVERS),
      lists(FULL, [...SERVERS, 'f']),
      imports(FULL, ['a', 'b', 'f']),
      halfLoad(FULL, SERVERS),
      oneByOne(FULL, ['a', 'b', 'c', 'd']),
      duringImport(FULL, ['a', 'b']),
      singles(FULL, 64, ['a', 'a0', 'b', 'c', 'd'], { table: 'existing' }),
      lists(FULL, ['a', 'a0', 'b', 'c', 'd', 'f'], { table: 'existing' }),
      singles(FULL, 64, ['a', 'c', 'd'], { table: 'full' }),
      lists(FULL, ['a', 'c', 'd', 'f'], { table: 'full' }),
      singles(FULL, 64, SERVERS, { object: 'document' }),
      singles(FULL, 256, SERVERS, { object: 'document' }),
      lists(FULL, [...SERVERS, 'f'], { object: 'document' }),
      imports(FULL, ['a', 'b', 'f'], 'document'),
    ],
  };
}

/** One round of what the targets are about, in less than three minutes. */
export function quickPlan(): Plan {
  return {
    ...{ rounds: 1, warmUpSeconds: 1, existingRows: QUICK.listObjects, fullRows: 200_000 },
    workloads: [
      singles(QUICK, 64, SERVERS),
      singles(QUICK, 256, ['a', 'c', 'd', 'e']),
      lists(QUICK, ['a', 'c', 'f']),
      imports(QUICK, ['a', 'f']),
      halfLoad(QUICK, ['a', 'e']),
      oneByOne(QUICK, ['a']),
      singles(QUICK, 64, ['a'], { table: 'existing' }),
      lists(QUICK, ['a'], { table: 'existing' }),
      singles(QUICK, 64, ['a'], { table: 'full' }),
      lists(QUICK, ['a'], { table: 'full' }),
    ],
  };
}
