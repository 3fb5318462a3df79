// Everything that happens, as it happens: one WebSocket that resumes by sequence number.

import type { QueryClient } from "@tanstack/react-query";
import { useSyncExternalStore } from "react";
import { type Answer, type Event, loadSession, own, Refusal } from "./api";

/** Events kept in the page; older ones are read when asked for. */
const KEPT_MAX = 5000;
const FIRST_READ = 500;
/** How long events are gathered before views hear of them, in milliseconds: the first of a calm
 *  time at once, a flood a few times in a second, so that what is read again has time to arrive. */
const GATHER = 40;
const FLOOD = 300;
const RETRY_MAX = 5000;

export interface Live {
  /** Oldest first. */
  events: Event[];
  connected: boolean;
  started: boolean;
}

let live: Live = { events: [], connected: false, started: false };
let gathered: Event[] = [];
let isWaiting = false;
let flushedAt = 0;
const listeners = new Set<() => void>();
const watchers = new Set<(events: Event[]) => void>();

function publish(change: Partial<Live>) {
  live = { ...live, ...change };
  for (const listener of listeners) listener();
}

function flush() {
  isWaiting = false;
  flushedAt = performance.now();
  const fresh = gathered;
  gathered = [];
  publish({ events: [...live.events, ...fresh].slice(-KEPT_MAX) });
  for (const watcher of watchers) watcher(fresh);
}

function take(event: Event) {
  gathered.push(event);
  if (isWaiting) return;
  isWaiting = true;
  window.setTimeout(flush, Math.max(GATHER, flushedAt + FLOOD - performance.now()));
}

const newest = () => gathered.at(-1)?.seq ?? live.events.at(-1)?.seq ?? 0;

/** Hears of events over a WebSocket, behind the newest that is known, until it is closed. */
const follow = (signal: AbortSignal) =>
  new Promise<void>((over) => {
    const address = new URL(`/_offhook/v1/events/socket?after=${newest()}`, location.href);
    address.protocol = address.protocol.replace("http", "ws");
    const socket = new WebSocket(address);
    const leave = () => socket.close();
    signal.addEventListener("abort", leave);
    socket.onopen = () => publish({ connected: true });
    socket.onmessage = ({ data }) => take(JSON.parse(data));
    socket.onclose = () => {
      signal.removeEventListener("abort", leave);
      over();
    };
  });

/** Follows until the page is left; a server that goes away is looked for until it is back, and who
 *  is not signed in any more is told so. */
export async function start(signal: AbortSignal, onOver: () => void) {
  let wait = 250;
  while (!signal.aborted) {
    try {
      if (!live.started) {
        const { events } = await own<Answer<"/events">>(`/events?limit=${FIRST_READ}`);
        publish({ events, started: true });
      }
      // A socket does not tell a session that is over from a server that is away.
      await loadSession();
      wait = 250;
      await follow(signal);
    } catch (error) {
      // A server that is away is told by `connected`.
      if (error instanceof Refusal && error.status === 401) onOver();
    }
    if (signal.aborted) return;
    publish({ connected: false });
    await new Promise((done) => setTimeout(done, wait));
    wait = Math.min(wait * 2, RETRY_MAX);
  }
}

export const useLive = () =>
  useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => live,
  );

/** The number in an address: `whatsapp:+1…` is on the same phone. */
export const bare = (address: string) => address.slice(address.indexOf(":") + 1);

/** What is on the screen is read again when an event touches it. */
export function refresh(client: QueryClient) {
  const watcher = (events: Event[]) => {
    const stale = new Set<string>();
    let everywhere = false;
    for (const { kind, data } of events) {
      if (kind === "webhook") continue;
      const touched = [data.from, data.to].filter((value) => typeof value === "string");
      for (const number of touched) stale.add(bare(number));
      everywhere ||= touched.length === 0 && kind !== "alert";
      if (kind.startsWith("incoming-phone-number")) {
        client.invalidateQueries({ queryKey: ["numbers"] });
      }
      if (kind === "alert") client.invalidateQueries({ queryKey: ["alerts"] });
    }
    const again = () => {
      if (everywhere) client.invalidateQueries({ queryKey: ["thread"] });
      for (const number of stale) client.invalidateQueries({ queryKey: ["thread", number] });
      client.invalidateQueries({ queryKey: ["handsets"] });
    };
    if (everywhere || stale.size > 0) again();
    // What is said to a phone outside of a message has no event of its own when it arrives.
    if (everywhere) window.setTimeout(again, 1000);
  };
  watchers.add(watcher);
  // Nor has what was on its way when the page began.
  const first = window.setTimeout(() => {
    client.invalidateQueries({ queryKey: ["thread"] });
    client.invalidateQueries({ queryKey: ["handsets"] });
  }, 1000);
  return () => {
    window.clearTimeout(first);
    watchers.delete(watcher);
  };
}
