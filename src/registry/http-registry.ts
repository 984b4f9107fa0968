/**
 * A schema registry with Confluent's REST API (Confluent, Apicurio's `/apis/ccompat/v7`, Karapace). The only
 * file that touches @kafkajs/confluent-schema-registry. Called by the serdes at start and for a schema id
 * that was never seen; never per record.
 *
 * The library registers, and that is all it can do for us. Node's fetch does the rest beside it, because the
 * library
 * - turns a fetched schema into an avsc type and drops its text (schemaById, versions);
 * - loses `error_code`, so an unknown subject and an unknown schema look alike (lookup);
 * - sets a subject's level only after the first version, and without being asked (register: the level is read
 *   and set here first, and the library is told what it will find, so that it changes nothing);
 * - reports a refused connection as status 400 (register: taken for an outage);
 * - shares retry options between all its instances (so it gets none; `#retried` retries).
 */
import type confluent from '@kafkajs/confluent-schema-registry';
import { parseSchema } from '../base/avro-schema.ts';
import type { Clock } from '../base/clock-port.ts';
import { type ErrorCode, type ErrorContext, StreamsError } from '../base/errors.ts';
import type { CompatibilityLevel, RegisteredSchema, SchemaRegistry } from '../base/registry-port.ts';
import { checkLevel, describeIncompatibilities } from './compatibility.ts';

export interface HttpRegistryOptions {
  /** The base URL, without a slash at the end; may hold a path. */
  readonly url: string;
  readonly clock: Clock;
  /** Shown to the server as user agent. */
  readonly clientId?: string;
  readonly auth?: { readonly username: string; readonly password: string };
  /** Of one request. Default 5,000 ms. */
  readonly timeoutMs?: number;
  /** After the first try, of requests that may be repeated. Default 3. */
  readonly retries?: number;
  /** Before the first retry; doubles with each. Default 100 ms. */
  readonly retryPauseMs?: number;
}

/**
 * Connects: asks the server once, so that a wrong address shows at start.
 * Errors: SETTING_INVALID (not a URL), REGISTRY_UNAVAILABLE, REGISTRY_REQUEST_FAILED (it is no registry).
 */
export async function openHttpRegistry(options: HttpRegistryOptions): Promise<SchemaRegistry> {
  // Loaded here and not above: it brings 200 ms of packages that the embedded registry does without.
  const { default: library } = await import('@kafkajs/confluent-schema-registry');
  const registry = new HttpRegistry(options, library);
  await registry.probe();
  return registry;
}

/** At most this many requests at once: a start asks for dozens of subjects. */
const requestsMax = 8;

const levelAttemptsMax = 5;
const unknownIdRetries = 2;

/** The library found another level than it was told to expect, and registered nothing. */
class LevelMoved extends Error {}

type Library = InstanceType<typeof confluent.SchemaRegistry>;

interface Answer {
  readonly status: number;
  /** Undefined when the body was not JSON. */
  readonly body: unknown;
  readonly errorCode: number | undefined;
  readonly message: string;
}

class HttpRegistry implements SchemaRegistry {
  readonly #url: string;
  readonly #clock: Clock;
  readonly #clientId: string;
  readonly #authorization: string | undefined;
  readonly #timeoutMs: number;
  readonly #retries: number;
  readonly #retryPauseMs: number;
  readonly #library: Library;
  readonly #schemaType: typeof confluent.SchemaType.AVRO;
  #running = 0;
  readonly #waiting: (() => void)[] = [];
  #closed = false;

  constructor(options: HttpRegistryOptions, library: typeof confluent) {
    this.#url = checkedUrl(options.url);
    this.#clock = options.clock;
    this.#clientId = options.clientId ?? 'millrace';
    this.#timeoutMs = options.timeoutMs ?? 5000;
    this.#retries = options.retries ?? 3;
    this.#retryPauseMs = options.retryPauseMs ?? 100;
    const { auth } = options;
    this.#authorization =
      auth && `Basic ${Buffer.from(`${auth.username}:${auth.password}`, 'utf8').toString('base64')}`;
    this.#schemaType = library.SchemaType.AVRO;
    this.#library = this.#openLibrary(library, auth);
  }

  async probe(): Promise<void> {
    const answer = await this.#request('GET', '/config');
    if (answer.status === 200 && answer.body !== undefined) return;
    throw this.#failure(answer, 'the server does not answer like a schema registry', {});
  }

  async schemaById(id: number): Promise<RegisteredSchema> {
    let answer = await this.#request('GET', `/schemas/ids/${id}`);
    // A replica may not have heard yet of what the writer registered a moment ago.
    for (let again = 0; again < unknownIdRetries && answer.errorCode === 40403; again++) {
      await this.#clock.sleep(this.#retryPauseMs * 2 ** again);
      answer = await this.#request('GET', `/schemas/ids/${id}`);
    }
    if (answer.status === 200) return { id, schema: schemaOf(answer, this.#url) };
    throw this.#failure(answer, 'no schema with this id', { schemaId: id });
  }

  async lookup(subject: string, schema: string): Promise<RegisteredSchema> {
    const found = await this.#lookup(subject, schema);
    if ('id' in found) return found;
    throw this.#failure(found, 'this schema is not registered', { subject });
  }

  async versions(subject: string): Promise<readonly RegisteredSchema[]> {
    const path = `/subjects/${encodeURIComponent(subject)}/versions`;
    const list = await this.#request('GET', path);
    if (list.errorCode === 40401) return [];
    if (list.status !== 200 || !Array.isArray(list.body)) {
      throw this.#failure(list, 'the versions cannot be listed', { subject });
    }
    const numbers = list.body.filter((version): version is number => typeof version === 'number');
    numbers.sort((a, b) => a - b);
    return Promise.all(
      numbers.map(async (version) => {
        const answer = await this.#request('GET', `${path}/${version}`);
        if (answer.status === 200)
          return { id: numberOf(answer, 'id', this.#url), schema: schemaOf(answer, this.#url) };
        throw this.#failure(answer, `version ${version} cannot be read`, { subject });
      }),
    );
  }

  async register(subject: string, schema: string, level?: CompatibilityLevel): Promise<RegisteredSchema> {
    const found = await this.#lookup(subject, schema);
    if ('id' in found) return found;
    const isFirst = found.errorCode === 40401;
    if (!isFirst && found.errorCode !== 40403)
      throw this.#failure(found, 'the schema is refused', { subject });
    // Before the first version, or it would be checked, and others after it, at the server's own level.
    if (isFirst && level !== undefined) await this.#setLevel(subject, level);
    for (let attempt = 1; ; attempt++) {
      const own = await this.#levelOf(subject);
      try {
        const id = await this.#limited(() =>
          this.#retried(() => this.#registerByLibrary(subject, schema, own)),
        );
        return { id, schema };
      } catch (error) {
        // Somebody set the level after we had read it: nothing was sent, so look again.
        if (error instanceof LevelMoved && attempt < levelAttemptsMax) continue;
        if (error instanceof LevelMoved) throw this.#unavailable(error.message, error);
        if (!(error instanceof StreamsError) || error.code !== 'SCHEMA_INCOMPATIBLE') throw error;
        throw await this.#withReasons(error, subject, schema, own);
      }
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  /** As it stands, then normalized: a server compares texts, and the registered one may be spelled otherwise. */
  async #lookup(subject: string, schema: string): Promise<RegisteredSchema | Answer> {
    const path = `/subjects/${encodeURIComponent(subject)}`;
    let answer = await this.#request('POST', path, { schema });
    if (answer.errorCode === 40403)
      answer = await this.#request('POST', `${path}?normalize=true`, { schema });
    return answer.status === 200
      ? { id: numberOf(answer, 'id', this.#url), schema: schemaOf(answer, this.#url) }
      : answer;
  }

  async #setLevel(subject: string, level: CompatibilityLevel): Promise<void> {
    const answer = await this.#request('PUT', `/config/${encodeURIComponent(subject)}`, {
      compatibility: level,
    });
    // 409: somebody set one in the same moment. Registering compares the level with ours and looks again if it differs.
    if (answer.status === 409) return;
    if (answer.status !== 200) throw this.#failure(answer, `the level ${level} cannot be set`, { subject });
  }

  /** The subject's own level; undefined when it has none. */
  async #levelOf(subject: string): Promise<CompatibilityLevel | undefined> {
    const answer = await this.#request('GET', `/config/${encodeURIComponent(subject)}`);
    if (answer.status === 404) return undefined;
    const { compatibilityLevel } = (answer.body ?? {}) as { compatibilityLevel?: CompatibilityLevel };
    if (answer.status === 200 && compatibilityLevel !== undefined) return compatibilityLevel;
    throw this.#failure(answer, 'the level cannot be read', { subject });
  }

  #openLibrary(library: typeof confluent, auth: HttpRegistryOptions['auth']): Library {
    const timeoutMs = this.#timeoutMs;
    return new library.SchemaRegistry({
      host: this.#url,
      clientId: this.#clientId,
      ...(auth === undefined ? {} : { auth }),
      retry: { retries: 0 },
      middlewares: [
        () => ({
          prepareRequest: (next) => next().then((request) => request.enhance({ timeout: timeoutMs })),
        }),
      ],
    });
  }

  async #registerByLibrary(
    subject: string,
    schema: string,
    level: CompatibilityLevel | undefined,
  ): Promise<number> {
    try {
      // An explicit undefined keeps the library from setting its own default level afterwards; its types only
      // know a level that is left out.
      const options = { subject, compatibility: level } as { subject: string };
      const { id } = await this.#library.register({ type: this.#schemaType, schema }, options);
      return id;
    } catch (error) {
      if (error instanceof Error && error.name === 'ConfluentSchemaRegistryCompatibilityError') {
        throw new LevelMoved(error.message, { cause: error });
      }
      throw this.#registerFailure(error, subject);
    }
  }

  #registerFailure(error: unknown, subject: string): StreamsError {
    const { status, message } = error as { status?: number; message: string };
    const options = { context: { subject, url: this.#url }, cause: error };
    if (status === 409)
      return new StreamsError('SCHEMA_INCOMPATIBLE', `the registry refuses it: ${message}`, options);
    if (status === 422) return new StreamsError('SCHEMA_INVALID', message, options);
    // 400 is what the library makes of a connection that is refused or breaks; registries do not say 400.
    if (status === 400 || (status !== undefined && isTransient(status)))
      return this.#unavailable(message, error);
    // Without a status the library itself refused, before any request: the schema does not compile.
    if (status === undefined) return new StreamsError('SCHEMA_INVALID', message, options);
    return new StreamsError('REGISTRY_REQUEST_FAILED', `registration failed: ${message}`, options);
  }

  /** The refusal in our own check's words, where it finds any: not every server says why. */
  async #withReasons(
    refusal: StreamsError,
    subject: string,
    schema: string,
    level: CompatibilityLevel | undefined,
  ): Promise<StreamsError> {
    const history = (await this.versions(subject)).map((version) => parseSchema(version.schema));
    const found = checkLevel(level ?? 'FULL_TRANSITIVE', parseSchema(schema), history);
    if (found.length === 0) return refusal;
    const reasons = describeIncompatibilities(found);
    return new StreamsError('SCHEMA_INCOMPATIBLE', `the registry refuses the schema: ${reasons}`, {
      context: refusal.context,
      cause: refusal,
    });
  }

  /** An answer of the server, whichever; what may be repeated is repeated. Errors: REGISTRY_UNAVAILABLE. */
  #request(method: string, path: string, body?: unknown): Promise<Answer> {
    return this.#limited(() =>
      this.#retried(async () => {
        const answer = await this.#fetchOnce(method, path, body);
        if (isTransient(answer.status))
          throw this.#unavailable(`${method} ${path}: ${answer.status} ${answer.message}`);
        return answer;
      }),
    );
  }

  async #fetchOnce(method: string, path: string, body?: unknown): Promise<Answer> {
    if (this.#closed) throw new StreamsError('REGISTRY_UNAVAILABLE', 'the registry client is closed');
    try {
      const response = await fetch(this.#url + path, {
        method,
        headers: {
          accept: 'application/vnd.schemaregistry.v1+json, application/json',
          'user-agent': this.#clientId,
          ...(this.#authorization === undefined ? {} : { authorization: this.#authorization }),
          ...(body === undefined ? {} : { 'content-type': 'application/vnd.schemaregistry.v1+json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(this.#timeoutMs),
      });
      return answerOf(response.status, await response.text());
    } catch (error) {
      throw this.#unavailable(reasonOf(error, this.#timeoutMs), error);
    }
  }

  async #retried<T>(attempt: () => Promise<T>): Promise<T> {
    for (let retry = 0; ; retry++) {
      try {
        return await attempt();
      } catch (error) {
        const isRetriable = error instanceof StreamsError && error.code === 'REGISTRY_UNAVAILABLE';
        if (!isRetriable || retry >= this.#retries || this.#closed) throw error;
        await this.#clock.sleep(this.#retryPauseMs * 2 ** retry);
      }
    }
  }

  async #limited<T>(work: () => Promise<T>): Promise<T> {
    while (this.#running >= requestsMax) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#running++;
    try {
      return await work();
    } finally {
      this.#running--;
      this.#waiting.shift()?.();
    }
  }

  #unavailable(why: string, cause?: unknown): StreamsError {
    return new StreamsError('REGISTRY_UNAVAILABLE', `the schema registry does not answer: ${why}`, {
      context: { url: this.#url },
      cause,
    });
  }

  /** An answer that is not what was asked for, as an error. */
  #failure(answer: Answer, sentence: string, context: ErrorContext): StreamsError {
    const code = codeOf(answer);
    const said = answer.message === '' ? '' : `: ${answer.message}`;
    const isPathWrong = code === 'REGISTRY_REQUEST_FAILED' && answer.errorCode === undefined;
    return new StreamsError(code, `${sentence}: ${answer.status}${said}`, {
      context: { ...context, url: this.#url },
      ...(isPathWrong ? { hint: 'check that the URL is the base of a Confluent-compatible API' } : {}),
    });
  }
}

/** Only with the registry's own error code: a bare 404 comes from something that is no registry. */
function codeOf({ status, errorCode }: Answer): ErrorCode {
  if (errorCode === 40401) return 'SUBJECT_UNKNOWN';
  if (errorCode === 40402 || errorCode === 40403) return 'SCHEMA_UNKNOWN';
  if (status === 409) return 'SCHEMA_INCOMPATIBLE';
  if (status === 422 && errorCode !== undefined) return 'SCHEMA_INVALID';
  // A secret that expired is an outage for us: nothing is wrong with the records.
  if (status === 401 || status === 403) return 'REGISTRY_UNAVAILABLE';
  return 'REGISTRY_REQUEST_FAILED';
}

function isTransient(status: number): boolean {
  return status >= 500 || status === 429 || status === 408;
}

function answerOf(status: number, text: string): Answer {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return { status, body: undefined, errorCode: undefined, message: text.slice(0, 200) };
  }
  const { error_code: code, message } = (body ?? {}) as { error_code?: unknown; message?: unknown };
  return {
    status,
    body,
    errorCode: typeof code === 'number' && status >= 400 ? code : undefined,
    message: typeof message === 'string' ? message : '',
  };
}

function schemaOf(answer: Answer, url: string): string {
  const { schema } = (answer.body ?? {}) as { schema?: unknown };
  if (typeof schema === 'string') return schema;
  throw new StreamsError('REGISTRY_REQUEST_FAILED', 'the registry answered without a schema', {
    context: { url },
  });
}

function numberOf(answer: Answer, name: string, url: string): number {
  const value = ((answer.body ?? {}) as Record<string, unknown>)[name];
  if (typeof value === 'number') return value;
  throw new StreamsError('REGISTRY_REQUEST_FAILED', `the registry answered without ${name}`, {
    context: { url },
  });
}

/** fetch hides what happened in `cause`, and a list of causes inside of that for a name with two addresses. */
function reasonOf(error: unknown, timeoutMs: number): string {
  if (error instanceof Error && error.name === 'TimeoutError') return `nothing within ${timeoutMs} ms`;
  const cause = error instanceof Error ? error.cause : undefined;
  const inner = cause instanceof AggregateError ? cause.errors[0] : (cause ?? error);
  return inner instanceof Error ? inner.message : String(inner);
}

function checkedUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && (url.protocol === 'http:' || url.protocol === 'https:') && url.username === '') {
    return text.replace(/\/+$/, '');
  }
  const why = url?.username ? 'has credentials in it; give them as auth' : 'is not an http or https URL';
  // The text itself may hold a password.
  throw new StreamsError('SETTING_INVALID', `the registry URL ${why}`, { context: { setting: 'url' } });
}
