/** The API's document as tests look into it: operations by method and path, and what of an answer is not as it says. */
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { openApiDocument } from '../../src/http/openapi/document.ts';

/** An answer that has come, with its body where that was read. */
export interface Answer {
  readonly method: string;
  /** With its query, or without. */
  readonly path: string;
  readonly status: number;
  readonly headers: Headers;
  readonly body: string | undefined;
}

interface Reference {
  readonly $ref?: string;
}

interface ResponseObject {
  readonly headers?: Readonly<Record<string, { readonly required: boolean; readonly schema: object }>>;
  readonly content?: Readonly<Record<string, { readonly schema: object }>>;
}

interface OperationObject {
  readonly operationId: string;
  readonly security: readonly object[];
  readonly responses: Readonly<Record<string, ResponseObject & Reference>>;
}

export interface DocumentedOperation {
  readonly id: string;
  readonly method: string;
  /** As in the document. */
  readonly path: string;
  /** Whether it needs an API key. */
  readonly secured: boolean;
  readonly statuses: readonly number[];
}

const { paths, components } = openApiDocument('http://127.0.0.1', '0.0.0');

// The document's schemas stand where their references look for them.
const ajv = new Ajv2020({ strict: true, allowUnionTypes: true, allErrors: true });
addFormats.default(ajv);
ajv.addVocabulary(['components']);

const validators = new Map<object, ValidateFunction>();

/** Paths with few variables first: `/requests/upload-url` is none of the requests. */
const PATHS = Object.entries(paths)
  .map(([path, item]) => ({
    path,
    operations: item as Readonly<Record<string, OperationObject>>,
    variables: path.split('{').length - 1,
    pattern: new RegExp(`^${path.replace(/\{\w+\}/g, '[^/]+').replaceAll('.', '\\.')}$`),
  }))
  .sort((a, b) => a.variables - b.variables);

/** Every operation of the document. */
export const DOCUMENTED: readonly DocumentedOperation[] = PATHS.flatMap(({ path, operations }) =>
  Object.entries(operations).map(([method, { operationId, security, responses }]) => ({
    id: operationId,
    method: method.toUpperCase(),
    path,
    secured: security.length > 0 && security.every((way) => Object.keys(way).length > 0),
    statuses: Object.keys(responses).map(Number),
  })),
);

/** What of an answer is not as the document says, a line each. */
export function differences(answer: Answer): string[] {
  const { method, status } = answer;
  const path = answer.path.split('?')[0] ?? '';
  const place = PATHS.find(({ pattern }) => pattern.test(path));
  // Neither is an operation: the answer is the error that says so, or one that is found before that is seen.
  if (!place) return isClientError(status) ? problemDifferences(answer) : [`${path} is not documented`];
  const operation = place.operations[method === 'HEAD' ? 'get' : method.toLowerCase()];
  if (!operation) {
    const found = isClientError(status) ? [] : [`${method} ${place.path} is not documented`];
    return [...found, ...problemDifferences(answer)];
  }
  const response = operation.responses[status];
  if (!response) return [`${operation.operationId} does not document the status ${status}`];
  return responseDifferences(answer, resolved(response));
}

function isClientError(status: number): boolean {
  return status >= 400 && status < 500;
}

/** The operation that a call is for; undefined where there is none. */
export function operationOf(method: string, path: string): string | undefined {
  const place = PATHS.find(({ pattern }) => pattern.test(path.split('?')[0] ?? ''));
  return place?.operations[method.toLowerCase()]?.operationId;
}

function resolved(response: ResponseObject & Reference): ResponseObject {
  const name = response.$ref?.split('/').at(-1);
  return name === undefined ? response : (components['responses']?.[name] as ResponseObject);
}

/** An error that no operation answers with is still one of those that are documented. */
function problemDifferences(answer: Answer): string[] {
  const response = PATHS.flatMap(({ operations }) => Object.values(operations))
    .map(({ responses }) => responses[answer.status])
    .find((one) => one?.$ref !== undefined);
  return response
    ? responseDifferences(answer, resolved(response))
    : [`no error has the status ${answer.status}`];
}

function responseDifferences(answer: Answer, { headers = {}, content = {} }: ResponseObject): string[] {
  return [...headerDifferences(answer, headers), ...bodyDifferences(answer, content)];
}

function headerDifferences(answer: Answer, documented: NonNullable<ResponseObject['headers']>): string[] {
  return Object.entries(documented).flatMap(([name, { required, schema }]) => {
    const text = answer.headers.get(name);
    if (text === null) return required ? [`the header ${name} is missing`] : [];
    const isNumber = (schema as { type?: string }).type === 'integer';
    return mistakes(schema, isNumber ? Number(text) : text).map((mistake) => `header ${name}: ${mistake}`);
  });
}

function bodyDifferences(answer: Answer, content: NonNullable<ResponseObject['content']>): string[] {
  const { status, body } = answer;
  const type = answer.headers.get('content-type')?.split(';')[0];
  if (type === undefined) return Object.keys(content).length > 0 ? ['there is no Content-Type'] : [];
  const media = content[type];
  if (!media) return [`the Content-Type ${type} is not documented`];
  if (body === undefined || answer.method === 'HEAD') return [];
  if (!type.endsWith('json')) return mistakes(media.schema, body);
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch (error) {
    return [`the body is not JSON: ${(error as Error).message}`];
  }
  const found = mistakes(media.schema, value);
  if (
    status >= 400 &&
    type === 'application/problem+json' &&
    (value as { status: unknown }).status !== status
  )
    found.push('the status of the body is another');
  return found;
}

/** What is wrong with a value, by one of the document's schemas. */
export function mistakes(schema: object, value: unknown): string[] {
  let validate = validators.get(schema);
  if (!validate) {
    validate = ajv.compile({ components, ...schema });
    validators.set(schema, validate);
  }
  validate(value);
  return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message ?? ''}`);
}

/** A schema of the document by its name. */
export function componentSchema(name: string): object {
  return { $ref: `#/components/schemas/${name}` };
}
