/** The shop that `npm run seed` makes up: products, customers and orders, the same in each run. */
import type { Random } from './random.ts';
import { createRandom } from './random.ts';

/** An object as it is sent. */
interface SeedObject {
  readonly id: string;
  readonly [member: string]: unknown;
}

export type Namespace = 'products' | 'customers' | 'orders';

/** Objects of one namespace that are written together. */
export interface Write {
  readonly namespace: Namespace;
  readonly objects: readonly SeedObject[];
}

export interface Shop {
  /** The first versions. */
  readonly writes: readonly Write[];
  /** Later versions of some, in the order in which they are to be stored. */
  readonly updates: readonly (readonly Write[])[];
  readonly deletes: readonly { readonly namespace: Namespace; readonly id: string }[];
  /** Lines of a file of orders, without their ends; some of them are unreadable. */
  readonly lines: readonly string[];
  /** How many of them are unreadable. */
  readonly unreadable: number;
}

const SEED = 20_260_101;
const FIRST_DAY = Date.UTC(2026, 0, 1);
const DAY_MS = 86_400_000;

const PRODUCTS = 200;
const CUSTOMERS = 120;
const ORDERS = 300;
const LINES = 3_000;

const STYLES = ['Compact', 'Folding', 'Low', 'Oak', 'Round', 'Slim', 'Stackable', 'Walnut', 'Wide'] as const;
const KINDS = ['Bench', 'Chair', 'Desk', 'Lamp', 'Mirror', 'Shelf', 'Sofa', 'Stool', 'Table'] as const;
const COLORS = ['black', 'blue', 'green', 'natural', 'red', 'white'] as const;
const GIVEN_NAMES = [
  'Ada',
  'Bo',
  'Chloé',
  'Dmitri',
  'Elif',
  'Farid',
  'Grace',
  'Hana',
  'Ivo',
  'Jürgen',
] as const;
const FAMILY_NAMES = [
  'Adeyemi',
  'Berg',
  'Costa',
  'Dubois',
  'Evans',
  'Fischer',
  'García',
  'Ito',
  'Nowak',
] as const;
const STREETS = ['Bridge Street', 'Garden Lane', 'Harbour Road', 'Mill Lane', 'Station Road'] as const;
const CITIES = ['Bergen, NO', 'Gdańsk, PL', 'Leeds, GB', 'Lyon, FR', 'München, DE', 'Porto, PT'] as const;
const TIERS = ['basic', 'basic', 'basic', 'plus', 'business'] as const;

/** Lines that an import can't read, each for another reason. */
const UNREADABLE = [
  'id,customer_id,status,total',
  '{"id": "order_900001", "status": "delivered", "tot',
  "{'id': 'order_900002', 'status': 'delivered'}",
  '{"customer_id": "cust_0001", "status": "delivered", "total": 49.9}',
  '{"id": 900004, "status": "delivered"}',
  '{"id": "", "status": "delivered"}',
  '{"id": "order_900006", "note": "cut off\\u0000"}',
  '{"id": "order_900007", "total": 1e2000}',
];

/** What the members of products are, and how they are shown. */
export const PRODUCT_SCHEMA = {
  name: { display_hint: { type: 'title', order: 1 } },
  category: { display_hint: { type: 'subtitle', order: 2 } },
  description: { display_hint: { type: 'markdown', order: 3 }, field_limit: 2_000 },
  image_url: { content_type: 'image_url', display_hint: { type: 'primary_image_url' } },
  price: { content_type: 'metadata', display_hint: { type: 'compact_text', name: 'Price in EUR', order: 4 } },
  stock: { content_type: 'metadata' },
  specs: { content_type: 'metadata' },
  updated_at: { content_type: 'datetime', display_hint: { type: 'date' } },
};

export function createShop(): Shop {
  const random = createRandom(SEED);
  const products = numbered(PRODUCTS, (n) => product(n, random));
  const customers = numbered(CUSTOMERS, (n) => customer(n, random));
  const orders = numbered(ORDERS, (n) => order(n, 'placed', random));
  const cheaper = products.slice(0, 60).map((one) => repriced(one, 90, random));
  const paid = orders.slice(0, 120).map((one) => ({ ...one, status: 'paid' }));
  const lines = numbered(LINES, (n) => JSON.stringify(order(100_000 + n, 'delivered', random)));
  const every = LINES / UNREADABLE.length;
  return {
    writes: [
      { namespace: 'products', objects: products },
      { namespace: 'customers', objects: customers },
      { namespace: 'orders', objects: orders },
    ],
    updates: [
      [
        { namespace: 'products', objects: cheaper },
        { namespace: 'customers', objects: customers.slice(0, 15).map((one) => moved(one, random)) },
        { namespace: 'orders', objects: paid },
      ],
      [
        { namespace: 'products', objects: cheaper.slice(0, 20).map((one) => repriced(one, 125, random)) },
        { namespace: 'orders', objects: paid.slice(0, 60).map((one) => ({ ...one, status: 'shipped' })) },
      ],
    ],
    deletes: [
      ...products.slice(-5).map(({ id }) => ({ namespace: 'products' as const, id })),
      ...customers.slice(-4).map(({ id }) => ({ namespace: 'customers' as const, id })),
    ],
    lines: lines.map((line, i) => ((i + 1) % every === 0 ? (UNREADABLE[(i + 1) / every - 1] ?? line) : line)),
    unreadable: UNREADABLE.length,
  };
}

function product(n: number, random: Random) {
  const kind = random.pick(KINDS);
  const color = random.pick(COLORS);
  const name = `${random.pick(STYLES)} ${kind}`;
  return {
    id: `prod_${padded(n, 4)}`,
    sku: `${kind.slice(0, 3).toUpperCase()}-${padded(n, 4)}`,
    name,
    category: kind,
    description: `**${name}** in ${color}.\n\n- Delivered in ${random.between(2, 9)} days\n- Returned for free`,
    image_url: `https://images.example.com/products/${padded(n, 4)}.jpg`,
    price: euros(random.between(900, 250_000)),
    currency: 'EUR',
    stock: random.between(0, 80),
    specs: {
      color,
      weight_kg: random.between(5, 600) / 10,
      size_cm: {
        width: random.between(20, 240),
        depth: random.between(20, 120),
        height: random.between(20, 220),
      },
    },
    updated_at: time(0, random),
  };
}

/** @param percent of the price before */
function repriced<P extends { readonly price: number }>(before: P, percent: number, random: Random) {
  const price = euros(Math.round(before.price * percent));
  return { ...before, price, stock: random.between(0, 15), updated_at: time(30, random) };
}

function customer(n: number, random: Random) {
  const given = random.pick(GIVEN_NAMES);
  const family = random.pick(FAMILY_NAMES);
  return {
    id: `cust_${padded(n, 4)}`,
    name: `${given} ${family}`,
    email: `customer-${n}@example.com`,
    tier: random.pick(TIERS),
    newsletter: random.between(0, 1) === 1,
    address: address(random),
    joined_at: time(-random.between(1, 900), random),
  };
}

function moved<C extends object>(before: C, random: Random) {
  return { ...before, address: address(random) };
}

function address(random: Random) {
  return { street: `${random.pick(STREETS)} ${random.between(1, 120)}`, city: random.pick(CITIES) };
}

function order(n: number, status: string, random: Random) {
  const items = numbered(random.between(1, 4), () => ({
    product_id: `prod_${padded(random.between(1, PRODUCTS), 4)}`,
    quantity: random.between(1, 6),
    cents: random.between(900, 250_000),
  }));
  return {
    id: `order_${padded(n, 6)}`,
    customer_id: `cust_${padded(random.between(1, CUSTOMERS), 4)}`,
    status,
    items: items.map(({ cents, ...item }) => ({ ...item, price: euros(cents) })),
    total: euros(items.reduce((sum, { quantity, cents }) => sum + quantity * cents, 0)),
    currency: 'EUR',
    placed_at: time(random.between(0, 29), random),
  };
}

/** What `make` returns for 1 to `count`. */
function numbered<T>(count: number, make: (n: number) => T): T[] {
  return Array.from({ length: count }, (_, i) => make(i + 1));
}

function padded(n: number, digits: number): string {
  return String(n).padStart(digits, '0');
}

function euros(cents: number): number {
  return cents / 100;
}

function time(day: number, random: Random): string {
  return new Date(FIRST_DAY + day * DAY_MS + random.between(0, 86_399) * 1_000).toISOString();
}
