/** Settings with which nothing starts. */
import { expect } from 'vitest';
import { readConfig } from '../../src/config.ts';
import { OperatorError } from '../../src/errors.ts';

/** The message that the start stops with. */
export function refused(environment: Record<string, string>): string {
  try {
    readConfig(environment);
  } catch (error) {
    expect(error).toBeInstanceOf(OperatorError);
    return (error as OperatorError).message;
  }
  throw new Error(`was accepted: ${JSON.stringify(environment)}`);
}
