/** What the log says of errors, and what it must not say. */
import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { QueueUnavailableError } from '../../src/queue/queue.ts';
import { StoreUnavailableError } from '../../src/store/faults.ts';
import { describeError } from '../../src/telemetry/describe-error.ts';

const SECRET = 'hunter2';

function databaseError(code: string, message = `invalid value "${SECRET}"`): pg.DatabaseError {
  const error = new pg.DatabaseError(message, 0, 'error');
  return Object.assign(error, {
    code,
    detail: `Failing row contains (${SECRET}).`,
    where: `JSON data, line 1: ${SECRET}`,
    hint: SECRET,
    internalQuery: SECRET,
  });
}

describe('errors of Postgres', () => {
  it.each(['22P02', '22003', '23514', '23505', 'P0001', '44000', '54000', 'XX000', 'MINE1'])(
    'of code %s, which could quote data, are told by their code alone',
    (code) => {
      const told = describeError(databaseError(code));
      expect(told).toMatchObject({ type: 'error', code, message: 'not shown: it could quote data' });
      expect(JSON.stringify(told)).not.toContain(SECRET);
    },
  );

  it.each(['57P03', '53300', '28P01', '40P01', '3D000', '42501', '08006'])(
    'of code %s, which speak of the server, are told with their message, and without their further members',
    (code) => {
      const error = Object.assign(databaseError(code, 'something about the server'), { where: undefined });
      const told = describeError(error);
      expect(told).toMatchObject({ code, message: 'something about the server' });
      expect(JSON.stringify(told)).not.toContain(SECRET);
    },
  );

  it.each(['42P01', '42601', '3F000'])('of code %s are told where they are about a statement', (code) => {
    const error = Object.assign(databaseError(code), { where: undefined });
    expect(JSON.stringify(describeError(error))).not.toContain(SECRET);
    const ours = Object.assign(databaseError(code, 'no such table'), { where: undefined, position: '15' });
    expect(describeError(ours)).toMatchObject({ code, message: 'no such table' });
  });

  it.each(['57P03', '55000', '42501'])(
    'of code %s, raised by a trigger, are told by their code alone',
    (code) => {
      const where = 'PL/pgSQL function refuse() line 1 at RAISE';
      const told = describeError(Object.assign(databaseError(code), { where }));
      expect(told).toMatchObject({ code, message: 'not shown: it could quote data' });
      expect(JSON.stringify(told)).not.toContain(SECRET);
    },
  );

  it('are not repeated by errors that wrap them', () => {
    const cause = databaseError('22P02');
    const told = describeError(new QueueUnavailableError(cause.message, { cause }));
    expect(told).toMatchObject({ type: 'QueueUnavailableError', cause: { code: '22P02' } });
    expect(JSON.stringify(told)).not.toContain(SECRET);
  });
});

it('what JSON.parse says of a text that is not JSON is not told, but where it was parsed', () => {
  let error: unknown;
  try {
    JSON.parse(`${SECRET} is not JSON`);
  } catch (thrown) {
    error = thrown;
  }
  expect((error as Error).message).toContain(SECRET);
  const told = describeError(error);
  expect(JSON.stringify(told)).not.toContain(SECRET);
  expect(told['stack']).toContain('describe-error.test.ts');
});

it('of errors of sockets and of ioredis the members that hold commands and URLs are left out', () => {
  const refused = Object.assign(new Error('WRONGPASS invalid username-password pair'), {
    command: { name: 'auth', args: [SECRET] },
    input: `redis://:${SECRET}@127.0.0.1`,
  });
  const told = describeError(new StoreUnavailableError('away', { cause: refused }));
  expect(told).toMatchObject({ message: 'away', cause: { message: refused.message } });
  expect(JSON.stringify(told)).not.toContain(SECRET);
});

it('of a command that Redis does not know the arguments are left out', () => {
  const message = `ERR unknown command 'AUTH', with args beginning with: '${SECRET}' `;
  expect(describeError(new Error(message))['message']).toBe("ERR unknown command 'AUTH'");
});

it('a bug is told with its message and stack', () => {
  const told = describeError(new TypeError('x is not a function'));
  expect(told).toMatchObject({ type: 'TypeError', message: 'x is not a function' });
  expect(told['stack']).toMatch(/^ {4}at .*describe-error\.test\.ts/);
});
