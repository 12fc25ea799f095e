import { expect, it } from 'vitest';
import { FailureThrottle } from '../../src/access/failure-throttle.ts';

function failures(throttle: FailureThrottle, address: string, count: number): void {
  for (let i = 0; i < count; i += 1) throttle.failed(address);
}

it('an address is throttled after 60 failures within a minute, and others are not', () => {
  let now = 0;
  const throttle = new FailureThrottle(() => now);
  failures(throttle, '10.0.0.1', 59);
  expect(throttle.waitSeconds('10.0.0.1')).toBe(0);
  now = 30_000;
  throttle.failed('10.0.0.1');
  expect(throttle.waitSeconds('10.0.0.1')).toBe(30);
  expect(throttle.waitSeconds('10.0.0.2')).toBe(0);
  now = 60_000;
  expect(throttle.waitSeconds('10.0.0.1')).toBe(0);
  throttle.failed('10.0.0.1');
  expect(throttle.waitSeconds('10.0.0.1')).toBe(0);
});

it('all addresses of an IPv6 network of 64 bits are one', () => {
  const throttle = new FailureThrottle(() => 0);
  failures(throttle, '2001:db8:1:2:3:4:5:6', 30);
  failures(throttle, '2001:db8:1:2:ffff::1', 30);
  expect(throttle.waitSeconds('2001:db8:1:2::9')).toBeGreaterThan(0);
  expect(throttle.waitSeconds('2001:db8:1:3::9')).toBe(0);
});

it('remembers no more than 10,000 addresses, and forgets the oldest first', () => {
  const throttle = new FailureThrottle(() => 0);
  failures(throttle, 'oldest', 60);
  failures(throttle, 'newer', 60);
  for (let i = 0; i < 9_999; i += 1) throttle.failed(`address ${i}`);
  expect(throttle.waitSeconds('oldest')).toBe(0);
  expect(throttle.waitSeconds('newer')).toBeGreaterThan(0);
});
