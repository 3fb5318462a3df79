// The platform's own API and its wire API, from this page's origin. The types of the former are made of
// its description, openapi.json.

import type { components, paths } from "../generated/own";

type Schemas = components["schemas"];
export type Session = Schemas["Session"];
export type Need = Session["may"][number];
export type Env = Schemas["Env"];
export type User = Schemas["User"];
export type Handset = Schemas["Handset"];
export type Behaviour = Handset["behaviour"];
export type Line = Schemas["Line"];
export type Rich = Schemas["Rich"];
export type Button = Schemas["Button"];
export type ListRow = Schemas["ListRow"];
export type Slide = Schemas["Slide"];
export type Standing = Schemas["Standing"];
export type OptOut = Schemas["OptOut"];
export type Call = Schemas["Call"];
export type Heard = Schemas["Heard"];
export type Event = Schemas["Event"];
export type Attempt = Schemas["Attempt"];
export type DeadJob = Schemas["DeadJob"];
export type Clock = Schemas["Clock"];
export type Mailbox = Schemas["Mailbox"];
export type Mail = Schemas["Mail"];
export type Network = Schemas["Network"];
export type Route = Schemas["Route"];
export type Diagnostic = Schemas["Diagnostic"];
export type Checked = Schemas["Checked"];

type Paths = keyof paths;
/** The answer of an operation of our own API, by its path below the base. */
export type Answer<
  P extends string,
  M extends string = "get",
> = `/_offhook/v1${P}` extends infer Whole extends Paths
  ? paths[Whole] extends { [method in M]: { responses: infer All } }
    ? {
        [status in keyof All]: All[status] extends { content: { "application/json": infer Body } }
          ? Body
          : never;
      }[keyof All]
    : never
  : never;

export const BEHAVIOURS = [
  "on",
  "off",
  "slow",
  "filtered",
  "silent",
  "full",
  "unknown",
  "landline",
] as const satisfies Behaviour[];

/** An error as the platform tells it. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly code: number | null,
    message: string,
  ) {
    super(message);
  }
}

/** A request with this browser's session; an answer that is no success is a `Refusal`. */
async function request(path: string, init: RequestInit = {}) {
  const response = await fetch(path, { ...init, credentials: "same-origin" });
  if (response.ok) return response;
  const text = await response.text();
  try {
    const body = JSON.parse(text);
    throw new Refusal(response.status, body.code ?? null, body.message ?? response.statusText);
  } catch (error) {
    if (error instanceof Refusal) throw error;
    throw new Refusal(response.status, null, text.slice(0, 200) || response.statusText);
  }
}

async function json<T>(response: Response): Promise<T> {
  const text = await response.text();
  return (text ? JSON.parse(text) : null) as T;
}

/** Our own API, below `/_offhook/v1`. */
export async function own<T>(path: string, method = "GET", body?: unknown): Promise<T> {
  const init = body === undefined ? { method } : { method, body: JSON.stringify(body) };
  return json(await request(`/_offhook/v1${path}`, init));
}

export async function ownText(path: string): Promise<string> {
  return (await request(`/_offhook/v1${path}`)).text();
}

export const signIn = (user: string, password: string) =>
  own<Session>("/sign-in", "POST", { user, password });

export const signOut = () => own("/session", "DELETE");

export const loadSession = () => own<Session>("/session");

export const loadEnv = () => own<Env>("/env");

/** A value of a form; several of one name are an array. */
export type Values = Record<string, string | string[]>;

/** The wire API of the main account, as far as the visitor's role goes. `path` begins with
 *  `/_/{product}/`, as it does for programs. */
export async function wire<T>(
  path: string,
  method = "GET",
  values?: Values,
  isJson = false,
): Promise<T> {
  const init: RequestInit = { method };
  if (values && isJson) {
    init.body = JSON.stringify(values);
    init.headers = { "Content-Type": "application/json" };
  } else if (values) {
    const form = new URLSearchParams();
    for (const [name, value] of Object.entries(values)) {
      for (const one of [value].flat()) form.append(name, one);
    }
    init.body = form;
  }
  return json(await request(path.replace(/^\/_\//, "/_offhook/v1/wire/"), init));
}

/** A page of any list of the wire API. */
export interface Page<T> {
  items: T[];
  next: string | null;
}

export type Resource = Record<string, unknown>;

/** Reads a page, whatever the name of its array, and where the next one is on this origin. */
export async function page(path: string): Promise<Page<Resource>> {
  const product = path.split("/")[2] ?? "api";
  const body = await wire<Record<string, unknown>>(path);
  const meta = body.meta as { key?: string; next_page_url?: string | null } | undefined;
  const key = meta?.key ?? Object.keys(body).find((name) => Array.isArray(body[name]));
  const next = meta ? meta.next_page_url : (body.next_page_uri as string | null | undefined);
  const items = key ? (body[key] as Resource[]) : [body];
  return { items, next: next ? here(next, product) : null };
}

/** An address of the wire API as a path on this origin. */
export function here(address: string, product: string): string {
  const url = new URL(address, location.origin);
  const prefix = `/_/${product}`;
  const path = url.pathname.startsWith("/_/") ? url.pathname : prefix + url.pathname;
  return path + url.search;
}
