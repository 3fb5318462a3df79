// All messages, however many: pages are read as somebody scrolls.

import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useMemo, useRef, useState } from "react";
import { Form as AriaForm, Button, Input, Label, TextField } from "react-aria-components";
import { loadEnv, page, type Resource, wire } from "../api";
import { useLive } from "../live";
import { Badge, Empty, Inert, Problem } from "../ui";

const LINE = 34;
const PAGE = 200;
/** Lines before the end at which the next page is read. */
const AHEAD = 60;
/** Pages that are read again by themselves when something happens; more wait for a word. */
const FRESH_PAGES = 2;

export function Messages() {
  const go = useNavigate();
  const client = useQueryClient();
  const { to, from } = useSearch({ strict: false });
  const env = useQuery({ queryKey: ["env"], queryFn: loadEnv });
  const sid = env.data?.account_sid ?? "";
  const query = new URLSearchParams({ PageSize: String(PAGE) });
  if (to) query.set("To", to);
  if (from) query.set("From", from);
  const list = `/_/api/2010-04-01/Accounts/${sid}/Messages.json`;
  const messages = useInfiniteQuery({
    queryKey: ["messages", sid, to, from],
    queryFn: ({ pageParam }) => page(pageParam),
    initialPageParam: `${list}?${query}`,
    getNextPageParam: (last) => last.next,
    enabled: sid !== "",
  });
  const pages = messages.data?.pages;
  const items = useMemo(() => pages?.flatMap((one) => one.items) ?? [], [pages]);
  const place = useRef<HTMLDivElement>(null);
  const rows = useVirtualizer({
    count: items.length,
    getScrollElement: () => place.current,
    estimateSize: () => LINE,
    overscan: 20,
  });
  const last = rows.getVirtualItems().at(-1)?.index ?? 0;
  const { hasNextPage, isFetchingNextPage, fetchNextPage } = messages;
  useEffect(() => {
    if (last + AHEAD > items.length && hasNextPage && !isFetchingNextPage) void fetchNextPage();
  }, [last, items.length, hasNextPage, isFetchingNextPage, fetchNextPage]);
  const isBehind = useFresh(pages?.length ?? 0);
  const narrow = (change: { to?: string; from?: string }) =>
    go({
      to: "/console/messages",
      search: { ...(to ? { to } : {}), ...(from ? { from } : {}), ...change },
      replace: true,
    });
  return (
    <section className="panel full">
      <header>
        <h1>Messages</h1>
        <TextField value={to ?? ""} onChange={(value) => narrow({ to: value })}>
          <Label className="unseen">To</Label>
          <Input placeholder="To +1…" />
        </TextField>
        <TextField value={from ?? ""} onChange={(value) => narrow({ from: value })}>
          <Label className="unseen">From</Label>
          <Input placeholder="From +1…" />
        </TextField>
        <span className="hint">
          {items.length}
          {hasNextPage ? "+" : ""} messages
        </span>
        {isBehind ? (
          <Button
            className="quiet"
            onPress={() => {
              place.current?.scrollTo(0, 0);
              void client.resetQueries({ queryKey: ["messages"] });
            }}
          >
            Something is new: to the top
          </Button>
        ) : null}
      </header>
      {env.data ? <Send list={list} from={env.data.phone_number} /> : null}
      <Problem error={messages.error} />
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keys */}
      <div className="scroll" ref={place} tabIndex={0} role="region" aria-label="Messages">
        <div className="lines" style={{ height: rows.getTotalSize() }}>
          {rows.getVirtualItems().map((row) => (
            <MessageLine
              key={row.key}
              message={items[row.index] as Resource}
              style={{ transform: `translateY(${row.start}px)`, height: LINE }}
            />
          ))}
        </div>
        {messages.isSuccess && items.length === 0 ? <Empty>No message fits.</Empty> : null}
      </div>
    </section>
  );
}

/** Keeps a short list up to date; says of a long one whether something happened since. */
function useFresh(pages: number): boolean {
  const client = useQueryClient();
  const { events } = useLive();
  const newest = events.findLast(({ kind }) => kind.startsWith("message."))?.seq ?? 0;
  const [seen, setSeen] = useState(newest);
  const isShort = pages <= FRESH_PAGES;
  useEffect(() => {
    if (!isShort || newest === seen) return;
    setSeen(newest);
    void client.invalidateQueries({ queryKey: ["messages"] });
  }, [client, isShort, newest, seen]);
  return !isShort && newest !== seen;
}

function MessageLine({ message, style }: { message: Resource; style: React.CSSProperties }) {
  const text = (name: string) => (message[name] == null ? "" : String(message[name]));
  const date = new Date(text("date_created"));
  return (
    <Link
      className="line message"
      style={style}
      to="/console/activity"
      search={{ sid: text("sid") }}
    >
      <time dateTime={date.toISOString()}>{date.toLocaleString([], { hour12: false })}</time>
      <span className="kind">
        <Badge>{text("status")}</Badge>
      </span>
      <span className="parties">
        {text("from") || text("messaging_service_sid")} → {text("to")}
      </span>
      <span className="what">
        {message.error_code ? <b className="bad">{text("error_code")} </b> : null}
        <Inert text={text("body")} />
      </span>
    </Link>
  );
}

/** A message by hand, now or at a time. */
function Send({ list, from }: { list: string; from: string }) {
  const [to, setTo] = useState("");
  const [body, setBody] = useState("");
  const [error, setError] = useState<unknown>(null);
  const send = async () => {
    try {
      await wire(list, "POST", { To: to, From: from, Body: body });
      setBody("");
      setError(null);
    } catch (failure) {
      setError(failure);
    }
  };
  return (
    <details className="create">
      <summary>Send one from {from}</summary>
      <AriaForm
        className="row wrap"
        onSubmit={(event) => {
          event.preventDefault();
          void send();
        }}
      >
        <label className="field short">
          <span>To</span>
          <input value={to} required onChange={(event) => setTo(event.target.value)} />
        </label>
        <label className="field">
          <span>Body</span>
          <input value={body} required onChange={(event) => setBody(event.target.value)} />
        </label>
        <Button type="submit">Send</Button>
      </AriaForm>
      <Problem error={error} />
    </details>
  );
}
