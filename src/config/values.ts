/** What the values of settings may look like, and what is made of them. */
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { z } from 'zod';

/** Whether a host is this machine for sure: a loopback address, or `localhost`, which is one everywhere. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || (isIP(host) !== 0 && ipaddr.process(host).range() === 'loopback');
}

/** A whole number from `least` to `most`. */
export const wholeNumber = (least: number, most: number): z.ZodType<number, string> =>
  z.string().regex(/^\d+$/).transform(Number).pipe(z.number().min(least).max(most));

const UNITS: Readonly<Record<string, number>> = { b: 1, kb: 1024, mb: 1024 ** 2, gb: 1024 ** 3 };

/** In bytes. */
export const byteSize = (least: number, most: number): z.ZodType<number, string> =>
  z
    .string()
    .regex(/^\d+(b|kb|mb|gb)?$/i)
    .transform((text) => Number.parseInt(text, 10) * (UNITS[text.replace(/^\d+/, '').toLowerCase()] ?? 1))
    .pipe(z.number().min(least).max(most));

const DURATIONS: Readonly<Record<string, number>> = {
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 24 * 3_600_000,
};

/** In milliseconds. */
export const durationWithin = (least: number, most: number): z.ZodType<number, string> =>
  z
    .string()
    .regex(/^\d+[smhd]$/i)
    .transform((text) => Number.parseInt(text, 10) * (DURATIONS[text.slice(-1).toLowerCase()] ?? 0))
    .pipe(z.number().min(least).max(most));

/** In milliseconds. At most 100 years, which every clock and every sum can hold. */
export const duration = durationWithin(1_000, 36_500 * 24 * 3_600_000);

/** "true" or "false". */
export const flag = z.enum(['true', 'false']).transform((text) => text === 'true');

/** A URL with one of these protocols (each with its colon). */
export const url = (...protocols: string[]): z.ZodType<string, string> =>
  z.string().refine((text) => isUrl(text, protocols));

/** A URL of Postgres. That of a socket may have nothing between the user and the path, which URLs must have. */
export const postgresUrl = z
  .string()
  .refine((text) => isUrl(text.replace('@/', '@localhost/'), ['postgres:', 'postgresql:']))
  .transform(withCheckedCertificate);

/** pg takes these modes for verify-full, warns each time, and is to make them weaker; whoever wants libpq's says so. */
function withCheckedCertificate(text: string): string {
  if (/[?&]uselibpqcompat=true/.test(text)) return text;
  return text.replace(/([?&]sslmode=)(?:prefer|require|verify-ca)(?=&|$)/, '$1verify-full');
}

/** Without its slashes it would be the name of a socket, password and all. */
function isUrl(text: string, protocols: readonly string[]): boolean {
  return /^[a-z]+:\/\//i.test(text) && URL.canParse(text) && protocols.includes(new URL(text).protocol);
}

/** Keys travel in a header; they can't hold a comma, which separates them here. */
export const apiKeys = z
  .string()
  .transform((text) => text.split(',').map((key) => key.trim()))
  .pipe(z.array(z.string().regex(/^[\x21-\x2b\x2d-\x7e]{1,512}$/)).min(1));

/** The names that proxy-addr, which Fastify looks addresses up with, has for ranges. */
const ADDRESS_RANGES: readonly string[] = ['loopback', 'linklocal', 'uniquelocal'];

/** Addresses, ranges in CIDR notation, and names of ranges. */
export const addressRanges = z
  .string()
  .transform((text) => text.split(',').map((range) => range.trim()))
  .pipe(z.array(z.string().refine(isAddressRange)).min(1));

/** Addresses and ranges in CIDR notation. */
export const networks = z
  .string()
  .transform((text) => text.split(',').map((range) => range.trim()))
  .pipe(z.array(z.string().refine(isNetwork)).min(1));

function isAddressRange(text: string): boolean {
  return ADDRESS_RANGES.includes(text) || isNetwork(text);
}

function isNetwork(text: string): boolean {
  const [address = '', bits, ...more] = text.split('/');
  const version = isIP(address);
  if (version === 0 || more.length > 0) return false;
  // A range of everything would let every client say where it comes from.
  return (
    bits === undefined ||
    (/^\d{1,3}$/.test(bits) && Number(bits) >= 1 && Number(bits) <= (version === 4 ? 32 : 128))
  );
}
