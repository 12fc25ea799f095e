/** Which addresses webhooks may be sent to. */
import { describe, expect, it } from 'vitest';
import { createAddressCheck, literalAddress } from '../../src/webhooks/addresses.ts';

const PUBLIC = [
  ...['1.1.1.1', '8.8.8.8', '9.255.255.255', '11.0.0.0', '100.63.255.255', '100.128.0.0', '126.255.255.255'],
  ...['128.0.0.1', '169.253.255.255', '169.255.0.0', '172.15.255.255', '172.32.0.0', '192.167.255.255'],
  ...['192.169.0.0', '198.17.255.255', '198.20.0.0', '223.255.255.255', '168.63.129.15'],
  ...['2001:4860:4860::8888', '2606:4700:4700::1111', '2a00:1450:4001:81b::200e'],
  // An address of IPv4 behind NAT64.
  ...['64:ff9b::8.8.8.8', '64:ff9b::808:808'],
];

const REFUSED: readonly (readonly [what: string, ...addresses: string[]])[] = [
  ['unspecified', '0.0.0.0', '0.1.2.3', '::', '0:0:0:0:0:0:0:0'],
  ['loopback', '127.0.0.1', '127.255.255.255', '::1'],
  [
    'private',
    '10.0.0.0',
    '10.255.255.255',
    '172.16.0.0',
    '172.31.255.255',
    '192.168.0.1',
    'fc00::1',
    'fdff::1',
  ],
  ['link-local', '169.254.0.1', '169.254.255.255', 'fe80::1', 'febf::1', 'fe80::1%eth0', 'fe80::1%1'],
  ['site-local', 'fec0::1'],
  ['carrier-grade NAT', '100.64.0.0', '100.127.255.255'],
  ['metadata', '169.254.169.254', '169.254.170.2', 'fd00:ec2::254', '100.100.100.200', '192.0.0.192'],
  ['metadata at a public address', '168.63.129.16'],
  ['multicast', '224.0.0.1', '239.255.255.255', 'ff02::1', 'ff0e::1'],
  ['broadcast', '255.255.255.255'],
  ['reserved', '240.0.0.1', '254.255.255.255', '192.0.0.1', '192.88.99.1', '4000::1', '3fff::1', '5f00::1'],
  ['documentation', '192.0.2.1', '198.51.100.1', '203.0.113.1', '2001:db8::1'],
  ['benchmarking', '198.18.0.1', '198.19.255.255', '2001:2::1'],
  ['discarded', '100::1'],
  ['IPv4-mapped', '::ffff:127.0.0.1', '::ffff:7f00:1', '::ffff:10.0.0.1', '::ffff:8.8.8.8', '::FFFF:7F00:1'],
  ['IPv4-compatible', '::127.0.0.1', '::7f00:1', '::10.0.0.1', '::8.8.8.8'],
  ['IPv4-translated', '::ffff:0:127.0.0.1', '::ffff:0:8.8.8.8'],
  [
    'private behind NAT64',
    '64:ff9b::127.0.0.1',
    '64:ff9b::a9fe:a9fe',
    '64:ff9b::10.1.2.3',
    '64:ff9b::100.64.0.1',
  ],
  ['a NAT64 of the network', '64:ff9b:1::8.8.8.8', '64:ff9b:0:1::8.8.8.8'],
  ['6to4', '2002:7f00:1::', '2002:808:808::1', '2002:a9fe:a9fe::1'],
  ['Teredo', '2001::1', '2001:0:53aa:64c:0:fbfe:f5fe:ffff'],
  [
    'other ways to write 127.0.0.1',
    '0x7f.1',
    '2130706433',
    '0177.0.0.1',
    '127.1',
    '127.0.1',
    '0x7f000001',
    '017700000001',
  ],
  [
    'brackets, ports, spaces and names',
    '[::1]',
    '8.8.8.8:443',
    ' 8.8.8.8',
    '8.8.8.8 ',
    'localhost',
    '',
    '8.8.8.8/32',
  ],
  ['an address with a zone', '2001:4860:4860::8888%eth0'],
  ['leading zeros', '08.8.8.8', '8.8.8.08'],
];

describe('the addresses that webhooks may be sent to', () => {
  const check = createAddressCheck(undefined);

  it.each(PUBLIC)('have %s', (address) => {
    expect(check(address)).toBe(true);
  });

  it.each(REFUSED)('have none that is %s', (_what, ...addresses) => {
    expect(addresses.filter(check)).toEqual([]);
  });

  it('have those of networks that are allowed, and no others beside them', () => {
    const allowed = createAddressCheck([
      '10.1.0.0/16',
      '127.0.0.1',
      'fd00:1::/64',
      '::1',
      '169.254.169.254/32',
    ]);
    for (const address of [
      '10.1.0.0',
      '10.1.255.255',
      '127.0.0.1',
      'fd00:1::7',
      '::1',
      '8.8.8.8',
      '169.254.169.254',
    ]) {
      expect(allowed(address), address).toBe(true);
    }
    for (const address of [
      '10.0.255.255',
      '10.2.0.0',
      '127.0.0.2',
      'fd00:1:0:1::',
      'fd00:2::7',
      '::2',
      '169.254.169.253',
    ]) {
      expect(allowed(address), address).toBe(false);
    }
  });

  it('are not opened by a range of the other family', () => {
    expect(createAddressCheck(['8000::/1'])('192.168.0.1')).toBe(false);
    expect(createAddressCheck(['0.0.0.0/1'])('::1')).toBe(false);
    // One that is mapped to IPv6 is allowed as such only.
    expect(createAddressCheck(['127.0.0.0/8'])('::ffff:127.0.0.1')).toBe(false);
    expect(createAddressCheck(['::ffff:127.0.0.0/104'])('::ffff:127.0.0.1')).toBe(true);
  });

  it('have what NAT64 makes of an address of an allowed network', () => {
    expect(createAddressCheck(['10.0.0.0/8'])('64:ff9b::10.1.2.3')).toBe(true);
    expect(createAddressCheck(['10.0.0.0/8'])('64:ff9b::192.168.0.1')).toBe(false);
  });
});

describe('an address in a URL', () => {
  it.each([
    ['https://127.0.0.1/', '127.0.0.1'],
    ['https://0x7f.1/', '127.0.0.1'],
    ['https://2130706433/', '127.0.0.1'],
    ['https://0177.0.0.1/', '127.0.0.1'],
    ['https://127.1/', '127.0.0.1'],
    ['https://①②⑦.0.0.1/', '127.0.0.1'],
    ['https://[::ffff:7f00:1]/', '::ffff:7f00:1'],
    ['https://[::ffff:127.0.0.1]/', '::ffff:7f00:1'],
    ['https://[::1]:8443/', '::1'],
    ['https://localhost/', undefined],
    ['https://127.0.0.1.example.com/', undefined],
  ])('%s is %s', (url, address) => {
    const found = literalAddress(new URL(url).hostname);
    expect(found).toBe(address);
    if (found) expect(createAddressCheck(undefined)(found)).toBe(false);
  });
});
