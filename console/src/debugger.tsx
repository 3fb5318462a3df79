// What went wrong: alerts by their code, with the page that says what to do.

import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { Fragment } from "react";
import { Button } from "react-aria-components";
import { ownText, page, wire } from "./api";
import { TwiML } from "./twiml/document";
import { At, Badge, Empty, Inert, Problem } from "./ui";

const ALERTS = "/_/monitor/v1/Alerts?PageSize=200";

export function Debugger() {
  const go = useNavigate();
  const { code } = useSearch({ strict: false });
  const alerts = useInfiniteQuery({
    queryKey: ["alerts"],
    queryFn: ({ pageParam }) => page(pageParam),
    initialPageParam: ALERTS,
    getNextPageParam: (last) => last.next,
  });
  const all = alerts.data?.pages.flatMap((one) => one.items) ?? [];
  const counts = new Map<string, number>();
  for (const { error_code } of all) {
    counts.set(String(error_code), (counts.get(String(error_code)) ?? 0) + 1);
  }
  const codes = [...counts].sort((a, b) => b[1] - a[1]);
  const shown = code ? all.filter((alert) => String(alert.error_code) === code) : all;
  return (
    <div className={code ? "split open" : "split"}>
      <section className="panel">
        <header>
          <h1>Debugger</h1>
          <span className="hint">
            {all.length}
            {alerts.hasNextPage ? "+" : ""} alerts
          </span>
        </header>
        <p className="chips">
          {codes.map(([one, count]) => (
            <Link
              key={one}
              to="/console/debugger"
              search={one === code ? {} : { code: one }}
              aria-current={one === code ? "true" : undefined}
            >
              {one} <small>{count}</small>
            </Link>
          ))}
        </p>
        <Problem error={alerts.error} />
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keys */}
        <div className="scroll" tabIndex={0} role="region" aria-label="Alerts">
          <table>
            <thead>
              <tr>
                <th>At</th>
                <th>Code</th>
                <th>What</th>
                <th>Resource</th>
              </tr>
            </thead>
            <tbody>
              {shown.map((alert) => {
                const text = new URLSearchParams(String(alert.alert_text ?? ""));
                return (
                  <tr key={String(alert.sid)}>
                    <td>
                      <At time={String(alert.date_generated)} today="" />
                    </td>
                    <td>
                      <Link to="/console/debugger" search={{ code: String(alert.error_code) }}>
                        <Badge as={alert.log_level === "error" ? "bad" : "wait"}>
                          {String(alert.error_code)}
                        </Badge>
                      </Link>
                    </td>
                    <td>
                      <Inert text={text.get("Msg") ?? String(alert.alert_text ?? "")} />
                      <br />
                      <small>
                        {alert.request_url ? (
                          <Inert text={`${alert.request_method} ${alert.request_url}`} />
                        ) : null}
                      </small>
                      {code && TWIML.test(code) ? <Answered sid={String(alert.sid)} /> : null}
                    </td>
                    <td>
                      <Link
                        to="/console/activity"
                        search={{ sid: String(alert.resource_sid) }}
                        title={String(alert.resource_sid)}
                      >
                        timeline
                      </Link>
                    </td>
                  </tr>
                );
              })}
            </tbody>
          </table>
          {alerts.isSuccess && shown.length === 0 ? <Empty>No alert. All is well.</Empty> : null}
          {alerts.hasNextPage ? (
            <Button className="quiet" onPress={() => alerts.fetchNextPage()}>
              Older alerts
            </Button>
          ) : null}
        </div>
      </section>
      {code ? <ErrorPage code={code} close={() => go({ to: "/console/debugger" })} /> : null}
    </div>
  );
}

/** Codes about a document. */
const TWIML = /^1[234]\d{3}$/;

/** The document that an alert is about, with what is wrong at its lines. */
function Answered({ sid }: { sid: string }) {
  const alert = useQuery({
    queryKey: ["alerts", sid],
    queryFn: () => wire<Record<string, unknown>>(`/_/monitor/v1/Alerts/${sid}`),
    staleTime: Number.POSITIVE_INFINITY,
  });
  const text = String(alert.data?.response_body ?? "");
  if (!text.trimStart().startsWith("<")) return null;
  const asked = new URLSearchParams(String(alert.data?.request_variables ?? ""));
  return <TwiML kind={asked.has("CallSid") ? "voice" : "messaging"} text={text} />;
}

function ErrorPage({ code, close }: { code: string; close: () => void }) {
  const text = useQuery({
    queryKey: ["error", code],
    queryFn: () => ownText(`/errors/${encodeURIComponent(code)}`),
    staleTime: Number.POSITIVE_INFINITY,
  });
  return (
    <section className="panel error-page" aria-label={`Error ${code}`}>
      <header>
        <h2>Error {code}</h2>
        <Button className="quiet" aria-label="Close the page" onPress={close}>
          ✕
        </Button>
      </header>
      <Problem error={text.error} />
      <div className="scroll prose">
        <Markdown text={text.data ?? ""} />
      </div>
    </section>
  );
}

/** As much of Markdown as the error pages use: headings, paragraphs, strong words, code, links. */
function Markdown({ text }: { text: string }) {
  return text.split(/\n{2,}/).map((block) => {
    const heading = /^#+ (.*)$/.exec(block.trim());
    if (heading) return <h3 key={block}>{heading[1]}</h3>;
    if (block.startsWith("```")) return <pre key={block}>{block.replace(/```\w*\n?/g, "")}</pre>;
    const parts = block.split(/(\*\*[^*]+\*\*|`[^`]+`|\[[^\]]+\]\([^)]+\))/);
    return (
      <p key={block}>
        {parts.map((part, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: the parts of a text have no other name
          <Fragment key={index}>{inline(part)}</Fragment>
        ))}
      </p>
    );
  });
}

function inline(part: string) {
  if (part.startsWith("**")) return <strong>{part.slice(2, -2)}</strong>;
  if (part.startsWith("`")) return <code>{part.slice(1, -1)}</code>;
  const link = /^\[([^\]]+)\]\(([^)]+)\)$/.exec(part);
  const code = /(\d{5,6})\.md$/.exec(link?.[2] ?? "")?.[1];
  if (link && code) {
    return (
      <Link to="/console/debugger" search={{ code }}>
        {link[1]}
      </Link>
    );
  }
  return link ? link[1] : part;
}
