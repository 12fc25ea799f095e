/** What a route says of itself for the API's document. Such a description stands beside each route, in routes/*.openapi.ts. */
import type { z } from 'zod';
import type { Scope } from '../../domain/api-key.ts';
import { SCOPES } from '../../domain/api-key.ts';
import type { ProblemCode } from '../../errors.ts';

/** The groups in which operations are shown, and what each is about. */
export const TAGS = {
  Data: 'Writing objects.',
  Objects: 'Objects as they are stored, and their former versions.',
  Requests: 'What became of what was written, and its results.',
  'Failed objects': 'Accepted objects that could not be stored, until somebody has seen to them.',
  Imports: 'Files of objects, of any size.',
  Settings: "What the fields of a namespace's objects are.",
  Webhooks:
    'Where events are sent to, and what became of each. What comes there is described with the events.',
  Service: 'How the server is, and what it can do.',
} as const;

/**
 * Who may call:
 * - a scope: an API key that has it
 * - `metrics`: everybody, or API keys with the scope `admin`, as the server is set up
 * - `signed`: whoever has the URL, which this server has signed
 * - `open`: everybody
 */
export type OperationAccess = Scope | 'metrics' | 'signed' | 'open';

/** Whether an operation needs an API key with a scope. */
export function isScope(access: OperationAccess): access is Scope {
  return (SCOPES as readonly OperationAccess[]).includes(access);
}

interface Example {
  readonly summary: string;
  readonly value: unknown;
}

/** A body, of a request or an answer, in one media type. */
export interface Media {
  readonly schema: z.ZodType;
  readonly examples: Readonly<Record<string, Example>>;
}

export interface RequestBody {
  readonly description: string;
  /** Whether the request is refused without one. */
  readonly required: boolean;
  /** By media type. */
  readonly content: Readonly<Record<string, Media>>;
  /** The values of `Content-Encoding` that are served. */
  readonly encodings: readonly string[];
}

export interface Header {
  readonly description: string;
  readonly required: boolean;
  readonly schema: z.ZodType;
  readonly example: string | number;
}

export interface Answer {
  readonly description: string;
  /** By name, beside those that every answer has. */
  readonly headers?: Readonly<Record<string, Header>>;
  /** By media type; none: the answer has no body. */
  readonly content?: Readonly<Record<string, Media>>;
}

/** One method of one path. */
export interface Operation {
  /** What generated clients call it. */
  readonly id: string;
  readonly tag: keyof typeof TAGS;
  readonly summary: string;
  readonly description: string;
  readonly access: OperationAccess;
  /** The schemas that its query parameters are read with. */
  readonly queries?: readonly z.ZodObject[];
  readonly body?: RequestBody;
  /** By status: all that are no errors. */
  readonly answers: Readonly<Record<number, Answer>>;
  /**
   * The errors that it has beside those of all operations with such access, or for reasons of its own; by code, with when.
   * Null: in the words for all operations.
   */
  readonly problems?: Readonly<Partial<Record<ProblemCode, string | null>>>;
}

type Method = 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE';

/** By method and path, as in `GET /v1/data/{namespace}/objects`. */
export type Operations = Readonly<Record<`${Method} /${string}`, Operation>>;

/** The content of an answer in JSON, with one example. */
export function json(schema: z.ZodType, summary: string, value: unknown): Readonly<Record<string, Media>> {
  return { 'application/json': { schema, examples: { example: { summary, value } } } };
}
