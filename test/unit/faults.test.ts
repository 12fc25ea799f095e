import pg from 'pg';
import { describe, expect, it } from 'vitest';
import type { FaultKind } from '../../src/store/faults.ts';
import { faultKind, StoreUnavailableError, sqlState } from '../../src/store/faults.ts';

function databaseError(code?: string, message = 'message'): pg.DatabaseError {
  const error = new pg.DatabaseError(message, 0, 'error');
  error.code = code;
  return error;
}

describe('faultKind', () => {
  it.each<[string, string, FaultKind]>([
    ['08006', 'connection failure', 'infrastructure'],
    ['08P01', 'protocol violation', 'infrastructure'],
    ['25006', 'read-only transaction', 'infrastructure'],
    ['28P01', 'invalid password', 'infrastructure'],
    ['3D000', 'unknown database', 'infrastructure'],
    ['40001', 'serialization failure', 'infrastructure'],
    ['40P01', 'deadlock', 'infrastructure'],
    ['53100', 'disk full', 'infrastructure'],
    ['53200', 'out of memory', 'infrastructure'],
    ['53300', 'too many connections', 'infrastructure'],
    ['55P03', 'lock not available', 'infrastructure'],
    ['57014', 'statement cancelled', 'infrastructure'],
    ['57P01', 'shutdown by the operator', 'infrastructure'],
    ['57P03', 'cannot connect now', 'infrastructure'],
    ['58030', 'I/O error', 'infrastructure'],
    ['XX000', 'internal error', 'data'],
    ['XX001', 'corrupted data', 'infrastructure'],
    ['22P02', 'invalid text representation', 'data'],
    ['22P05', 'untranslatable character', 'data'],
    ['22003', 'number out of range', 'data'],
    ['23505', 'unique violation', 'data'],
    ['23514', 'check violation', 'data'],
    ['44000', 'with check option violation', 'data'],
    ['54000', 'program limit exceeded', 'data'],
    ['54001', 'statement too complex', 'data'],
    ['P0001', 'raised by a trigger', 'data'],
    ['42P01', 'undefined table', 'unexpected'],
    ['42501', 'insufficient privilege', 'unexpected'],
    ['42601', 'syntax error', 'unexpected'],
    ['0A000', 'feature not supported', 'unexpected'],
    ['21000', 'cardinality violation', 'unexpected'],
    ['26000', 'unknown prepared statement', 'unexpected'],
    ['HV000', 'foreign data wrapper', 'unexpected'],
    ['ZZ999', 'a code of the future', 'unexpected'],
  ])('takes %s (%s) as %s', (code, _, kind) => {
    expect(faultKind(databaseError(code))).toBe(kind);
  });

  it('takes a broken way to Postgres as infrastructure', () => {
    expect(faultKind(new StoreUnavailableError('connect ECONNREFUSED'))).toBe('infrastructure');
  });

  it.each([
    ['an error of another kind', new TypeError('x')],
    ['an error with a code that looks like an SQLSTATE', Object.assign(new Error('x'), { code: '57P01' })],
    ['an error of Postgres without a code', databaseError()],
    ['no error at all', undefined],
    ['null', null],
    ['a string', '57P01'],
    ['an object with a code', { code: '22P02' }],
  ])('takes %s as unexpected', (_, error) => {
    expect(faultKind(error)).toBe('unexpected');
  });

  it('goes by the code, whatever the message says', () => {
    expect(faultKind(databaseError('22P02', 'Connection terminated: ECONNRESET, deadlock'))).toBe('data');
    expect(faultKind(databaseError('40P01', 'invalid input syntax for type json'))).toBe('infrastructure');
    expect(faultKind(new Error('connection refused'))).toBe('unexpected');
  });
});

describe('sqlState', () => {
  it('is the code of an error of Postgres, and of no other', () => {
    expect(sqlState(databaseError('23505'))).toBe('23505');
    expect(sqlState(databaseError())).toBeUndefined();
    expect(sqlState(Object.assign(new Error('x'), { code: 'ECONNRESET' }))).toBeUndefined();
    expect(sqlState(undefined)).toBeUndefined();
  });
});
