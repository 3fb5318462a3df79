// The platform's own API and its wire API, from this page's origin.

/** What a program needs to know of this instance. */
export interface Env {
  account_sid: string;
  auth_token: string;
  phone_number: string;
  test_account_sid: string;
  test_auth_token: string;
  url: string;
}

export const BEHAVIOURS = [
  "on",
  "off",
  "slow",
  "filtered",
  "silent",
  "full",
  "unknown",
  "landline",
] as const;
export type Behaviour = (typeof BEHAVIOURS)[number];

export interface Handset {
  number: string;
  name: string;
  behaviour: Behaviour;
}

export interface Button {
  type: "reply" | "url" | "phone" | "copy_code" | "call" | "catalog" | "flow";
  title?: string;
  id?: string;
  url?: string;
  phone?: string;
  code?: string;
}

export interface ListRow {
  id: string;
  title: string;
  description: string;
}

export interface Slide {
  media: string;
  title: string;
  body: string;
  buttons: Button[];
}

/** A message as WhatsApp shows it. */
export interface Rich {
  header?: { type: string; text?: string; url?: string; label?: string; address?: string };
  body: string;
  footer?: string;
  buttons?: Button[];
  list?: { button: string; rows: ListRow[] };
  carousel?: Slide[];
}

/** A line of a handset's thread. */
export interface Line {
  sid: string;
  direction: "sent" | "received";
  peer: string;
  body: string;
  media: string[];
  at: string;
  failed: boolean;
  read: boolean;
  rich: Rich | null;
}

export interface Event {
  seq: number;
  account_sid: string;
  kind: string;
  sid: string;
  at: string;
  data: Record<string, unknown>;
}

/** The `data` of an event of the kind `webhook`: one attempt, as it went over the wire. */
export interface Attempt {
  url: string;
  method: string;
  request_headers: [string, string][];
  request_body: string;
  status: number | null;
  response_headers: [string, string][];
  response_body: string;
  started: string;
  duration_ms: number;
  error: string | null;
}

export interface DeadJob {
  id: string;
  account_sid: string;
  queue: string;
  payload: unknown;
  attempt: number;
  last_error: string | null;
  died_at: string;
}

export interface Clock {
  now: string;
  offset_seconds: number;
  movable: boolean;
  next_timer: string | null;
}

export interface OptOut {
  account_sid: string;
  scope: string;
  address: string;
  source: string;
  at: string;
}

export interface Standing {
  opt_outs: OptOut[];
  windows: { sender: string; ends: string }[];
}

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

const LOGIN = "offhook.login";
let login = sessionStorage.getItem(LOGIN);
let env: Env | null = null;

/** Keeps SID and token for this tab, for an instance that asks for them. */
export function signIn(sid: string, token: string) {
  env = null;
  login = btoa(`${sid}:${token}`);
  sessionStorage.setItem(LOGIN, login);
}

export function signOut() {
  login = null;
  env = null;
  sessionStorage.removeItem(LOGIN);
}

export const isSignedIn = () => login !== null;

/** A request with this tab's login; an answer that is no success is a `Refusal`. */
async function request(path: string, init: RequestInit, authorization: string | null) {
  const headers = new Headers(init.headers);
  if (authorization) headers.set("Authorization", `Basic ${authorization}`);
  // Without credentials of its own the browser never asks for a password by itself.
  const response = await fetch(path, { ...init, headers, credentials: "omit" });
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

/** Our own API, below `/_offhook/v1`. */
export async function own<T>(path: string, method = "GET", body?: unknown): Promise<T> {
  const init = body === undefined ? { method } : { method, body: JSON.stringify(body) };
  return (await request(`/_offhook/v1${path}`, init, login)).json();
}

export async function ownText(path: string): Promise<string> {
  return (await request(`/_offhook/v1${path}`, {}, login)).text();
}

/** Our own API as a stream that stays open. */
export const ownStream = (path: string, signal: AbortSignal) =>
  request(`/_offhook/v1${path}`, { signal }, login);

export async function loadEnv(): Promise<Env> {
  env ??= await own<Env>("/env");
  return env;
}

/** A value of a form; several of one name are an array. */
export type Values = Record<string, string | string[]>;

/** The wire API, as the main account. `path` begins with `/_/{product}/`. */
export async function wire<T>(
  path: string,
  method = "GET",
  values?: Values,
  isJson = false,
): Promise<T> {
  const { account_sid, auth_token } = await loadEnv();
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
  const response = await request(path, init, btoa(`${account_sid}:${auth_token}`));
  const text = await response.text();
  return (text ? JSON.parse(text) : null) as T;
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
