/**
 * Which addresses webhooks may be sent to. Whoever may make an endpoint must not reach what only this machine can:
 * its own services, the network behind it, or a cloud's metadata. So only what is public is allowed, and all else
 * (private, loopback, link-local, multicast, reserved, …) is refused unless the operator allows its network.
 */
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

type Address = ipaddr.IPv4 | ipaddr.IPv6;
type Network = [address: Address, bits: number];

/** Public addresses that a cloud answers at itself, to every machine in it and to nobody else: Azure's "WireServer". */
const HOST_ONLY: ReadonlySet<string> = new Set(['168.63.129.16']);

/** All that has been given out of IPv6 for the public internet (IANA, "IPv6 Global Unicast Address Assignments"). */
const GLOBAL_UNICAST = ipaddr.IPv6.parseCIDR('2000::/3');

/** An IPv4 address as IPv6-only networks with NAT64 reach it (RFC 6052): DNS64 answers with it for every such host. */
const NAT64 = ipaddr.IPv6.parseCIDR('64:ff9b::/96');

/**
 * Makes the check of addresses.
 * @param allowedNetworks what is allowed beside public addresses: addresses, or ranges in CIDR notation
 * @returns tells whether an address may be connected to; what is no address in its usual notation may not
 */
export function createAddressCheck(
  allowedNetworks: readonly string[] | undefined,
): (address: string) => boolean {
  const networks = (allowedNetworks ?? []).map(parseNetwork);
  const isAllowed = (address: Address): boolean =>
    networks.some((network) => isWithin(address, network)) || isPublic(address, isAllowed);
  // Node.js knows but one notation of an address. Octal, hexadecimal and shortened ones, which ipaddr.js reads,
  // could mean something else to whoever connects; a zone ("%eth0") makes sense for link-local ones only.
  return (address) => isIP(address) !== 0 && !address.includes('%') && isAllowed(ipaddr.parse(address));
}

/**
 * The address that is written in a URL instead of a name, without the brackets of IPv6. (The URL has to be parsed
 * already, which puts `0x7f.1` and `2130706433` into their usual notation.)
 * @param hostname as `URL` has it
 * @returns undefined where it is a name
 */
export function literalAddress(hostname: string): string | undefined {
  const address = hostname.replace(/^\[(.*)\]$/, '$1');
  return isIP(address) === 0 ? undefined : address;
}

/** @param isAllowed judges the address that is embedded in one of NAT64 */
function isPublic(address: Address, isAllowed: (embedded: Address) => boolean): boolean {
  if (address instanceof ipaddr.IPv4)
    return address.range() === 'unicast' && !HOST_ONLY.has(address.toString());
  if (isWithin(address, NAT64)) return isAllowed(new ipaddr.IPv4(address.toByteArray().slice(-4)));
  // Teredo, 6to4, documentation and the like are parts of the range that have names of their own.
  return isWithin(address, GLOBAL_UNICAST) && address.range() === 'unicast';
}

function isWithin(address: Address, [network, bits]: Network): boolean {
  return address.kind() === network.kind() && address.match(network, bits);
}

/** @param text as the setting allows it */
function parseNetwork(text: string): Network {
  if (text.includes('/')) return ipaddr.parseCIDR(text);
  const address = ipaddr.parse(text);
  return [address, address.kind() === 'ipv4' ? 32 : 128];
}
