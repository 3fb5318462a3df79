// What a program needs, and the levers of the platform.

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { Button, Tab, TabList, TabPanel, Tabs } from "react-aria-components";
import { type Answer, type Clock, type Env, loadEnv, own, page } from "./api";
import { DeliveryRates, Networks } from "./networks";
import { useMay } from "./session";
import { At, Code, Copy, Empty, Inert, Panel, Problem } from "./ui";
import { Users } from "./users";

export function SetUp() {
  const env = useQuery({ queryKey: ["env"], queryFn: loadEnv });
  const [reads, changes, isOwner] = [useMay("read"), useMay("change"), useMay("users")];
  return (
    <div className="page columns">
      <h1 className="unseen">Set-up</h1>
      <Problem error={env.error} />
      {env.data && changes ? <Credentials env={env.data} /> : null}
      {env.data && changes ? <Snippets env={env.data} /> : null}
      <ClockPanel mayMove={changes} />
      {reads ? <WhatsApp /> : null}
      {reads ? <Accounts /> : null}
      {reads ? <Networks /> : null}
      {env.data ? <Usage sid={env.data.account_sid} /> : null}
      {env.data ? <Days sid={env.data.account_sid} /> : null}
      <DeliveryRates />
      {reads ? <OptOuts /> : null}
      {isOwner ? <Users /> : null}
    </div>
  );
}

function Credentials({ env }: { env: Env }) {
  const [shown, setShown] = useState(false);
  const rows: [string, string, boolean][] = [
    ["TWILIO_ACCOUNT_SID", env.account_sid, false],
    ["TWILIO_AUTH_TOKEN", env.auth_token ?? "", true],
    ["TWILIO_PHONE_NUMBER", env.phone_number, false],
    ["Test account SID", env.test_account_sid, false],
    ["Test auth token", env.test_auth_token ?? "", true],
    ["URL", env.url, false],
  ];
  const aside = (
    <Button className="quiet" onPress={() => setShown(!shown)}>
      {shown ? "Hide tokens" : "Show tokens"}
    </Button>
  );
  return (
    <Panel title="Credentials" aside={aside}>
      <dl className="pairs">
        {rows.map(([name, value, secret]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>
              <code>{secret && !shown ? "•".repeat(12) : value}</code>
              <Copy text={value} />
            </dd>
          </div>
        ))}
      </dl>
    </Panel>
  );
}

const snippets = (env: Env): [string, string][] => [
  [
    "Unchanged",
    `offhook run -- python app.py
offhook run -- npm start
eval "$(offhook env --intercept)"   # or this whole shell`,
  ],
  [
    "Python",
    `import os
from twilio.rest import Client

client = Client()   # TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN
message = client.messages.create(
    to="+14155550123", from_="${env.phone_number}", body="Hello")
print(message.sid)`,
  ],
  [
    "Node",
    `import twilio from "twilio";

const message = await twilio().messages.create({
  to: "+14155550123", from: "${env.phone_number}", body: "Hello" });
console.log(message.sid);`,
  ],
  [
    "Go",
    `client := twilio.NewRestClient()
params := &api.CreateMessageParams{}
params.SetTo("+14155550123")
params.SetFrom("${env.phone_number}")
params.SetBody("Hello")
message, err := client.Api.CreateMessage(params)`,
  ],
  [
    "Java",
    `Twilio.init(System.getenv("TWILIO_ACCOUNT_SID"), System.getenv("TWILIO_AUTH_TOKEN"));
Message message = Message.creator(
    new PhoneNumber("+14155550123"), new PhoneNumber("${env.phone_number}"), "Hello").create();`,
  ],
  [
    "curl",
    `curl -u "$TWILIO_ACCOUNT_SID:$TWILIO_AUTH_TOKEN" \\
  ${env.url}/2010-04-01/Accounts/${env.account_sid}/Messages.json \\
  --data-urlencode To=+14155550123 --data-urlencode From=${env.phone_number} \\
  --data-urlencode Body=Hello`,
  ],
];

function Snippets({ env }: { env: Env }) {
  return (
    <Panel title="Send from a program">
      <Tabs>
        <TabList aria-label="Languages">
          {snippets(env).map(([name]) => (
            <Tab key={name} id={name}>
              {name}
            </Tab>
          ))}
        </TabList>
        {snippets(env).map(([name, text]) => (
          <TabPanel key={name} id={name}>
            <Code text={text} />
          </TabPanel>
        ))}
      </Tabs>
      <p className="hint">
        Programs of any language run unchanged under <code>offhook run</code>.
      </p>
    </Panel>
  );
}

function ClockPanel({ mayMove }: { mayMove: boolean }) {
  const client = useQueryClient();
  const [error, setError] = useState<unknown>(null);
  const clock = useQuery({
    queryKey: ["clock"],
    queryFn: () => own<Clock>("/clock"),
    refetchInterval: 1000,
  });
  const move = async (how: object) => {
    try {
      await own("/clock", "POST", how);
      setError(null);
    } catch (failure) {
      setError(failure);
    }
    await client.invalidateQueries();
  };
  const now = clock.data;
  const moves = mayMove && now?.movable === true;
  const next = now?.next_timer;
  return (
    <Panel title="Clock">
      <p className="clock">
        {now ? new Date(now.now).toLocaleString([], { hour12: false }) : "…"}
        {now && now.offset_seconds !== 0 ? (
          <small> moved by {span(now.offset_seconds)}</small>
        ) : null}
      </p>
      {now?.movable === false ? <p className="hint">This instance's clock does not move.</p> : null}
      <div className="row wrap">
        <Button isDisabled={!moves} onPress={() => move({ advance_seconds: 3600 })}>
          + 1 hour
        </Button>
        <Button isDisabled={!moves} onPress={() => move({ advance_seconds: 86_400 })}>
          + 24 hours
        </Button>
        <Button isDisabled={!moves || !next} onPress={() => move({ set: next })}>
          To the next timer
        </Button>
        <Button
          className="quiet"
          isDisabled={!moves || now?.offset_seconds === 0}
          onPress={() => move({ resume: true })}
        >
          Back to the wall clock
        </Button>
      </div>
      <p className="hint">
        {next ? (
          <>
            The next timer is due at <At time={next} today={now?.now ?? ""} />.
          </>
        ) : (
          "Nothing waits for the clock."
        )}
      </p>
      <Problem error={error ?? clock.error} />
    </Panel>
  );
}

function span(seconds: number): string {
  const hours = Math.floor(Math.abs(seconds) / 3600);
  const days = Math.floor(hours / 24);
  const sign = seconds < 0 ? "−" : "+";
  if (days > 0) return `${sign}${days} d ${hours % 24} h`;
  return `${sign}${hours} h ${Math.floor((Math.abs(seconds) % 3600) / 60)} min`;
}

function WhatsApp() {
  const sandbox = useQuery({
    queryKey: ["sandbox"],
    queryFn: () => own<Answer<"/sandbox">>("/sandbox"),
    staleTime: Number.POSITIVE_INFINITY,
  });
  return (
    <Panel title="WhatsApp sandbox">
      <Problem error={sandbox.error} />
      {sandbox.data ? (
        <p>
          Write <code>{sandbox.data.join}</code> from a phone to <code>{sandbox.data.number}</code>.{" "}
          <Copy text={sandbox.data.join} />
        </p>
      ) : null}
    </Panel>
  );
}

const ACCOUNTS = [
  ["Subaccounts", "/_/api/2010-04-01/Accounts.json"],
  ["API keys", "/_/api/2010-04-01/Accounts/{AccountSid}/Keys.json"],
  ["Messaging Services", "/_/messaging/v1/Services"],
  ["WhatsApp senders", "/_/messaging/v2/Channels/Senders"],
  ["Usage triggers", "/_/api/2010-04-01/Accounts/{AccountSid}/Usage/Triggers.json"],
  ["Event sinks", "/_/events/v1/Sinks"],
] as const;

function Accounts() {
  return (
    <Panel title="Accounts, keys and senders">
      <p className="chips">
        {ACCOUNTS.map(([name, at]) => (
          <Link key={at} to="/console/resources" search={{ at }}>
            {name}
          </Link>
        ))}
      </p>
    </Panel>
  );
}

/** Bars of what this month used, against the category that was used most. */
function Usage({ sid }: { sid: string }) {
  const usage = useQuery({
    queryKey: ["usage", sid],
    queryFn: () =>
      page(`/_/api/2010-04-01/Accounts/${sid}/Usage/Records/ThisMonth.json?PageSize=1000`),
    refetchInterval: 10_000,
  });
  const used = (usage.data?.items ?? [])
    .map(({ category, count, price, price_unit }) => ({
      category: String(category),
      count: Number(count),
      price: Number(price),
      unit: String(price_unit ?? ""),
    }))
    .filter(({ count, category }) => count > 0 && category !== "totalprice")
    .sort((a, b) => b.count - a.count);
  const most = used[0]?.count ?? 1;
  return (
    <Panel title="Usage this month">
      <Problem error={usage.error} />
      <table>
        <thead>
          <tr>
            <th>Category</th>
            <th className="number">Count</th>
            <th className="number">Cost</th>
          </tr>
        </thead>
        <tbody>
          {used.map(({ category, count, price, unit }) => (
            <tr key={category}>
              <td>
                {category}
                <meter aria-label={`${category}: ${count}`} max={most} value={count} />
              </td>
              <td className="number">{count}</td>
              <td className="number">
                {price.toFixed(4)} {unit.toUpperCase()}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {usage.isSuccess && used.length === 0 ? <Empty>Nothing was used yet.</Empty> : null}
    </Panel>
  );
}

const DAYS = 30;

/** Cost by day: what each of the last thirty days took, as bars. */
function Days({ sid }: { sid: string }) {
  const usage = useQuery({
    queryKey: ["usage", sid, "daily"],
    queryFn: () =>
      page(
        `/_/api/2010-04-01/Accounts/${sid}/Usage/Records/Daily.json?Category=totalprice&PageSize=${DAYS}`,
      ),
    refetchInterval: 60_000,
  });
  const days = (usage.data?.items ?? [])
    .map(({ start_date, price }) => ({ day: String(start_date), price: Number(price) }))
    .sort((a, b) => a.day.localeCompare(b.day));
  const most = Math.max(...days.map(({ price }) => price), 0.0001);
  const words = days.map(({ day, price }) => `${day} ${price.toFixed(4)}`).join(", ");
  return (
    <Panel title="Cost by day">
      <Problem error={usage.error} />
      {days.length > 0 ? (
        <>
          <svg
            className="bars"
            viewBox={`0 0 ${DAYS * 10} 60`}
            role="img"
            aria-label={`Cost by day: ${words}`}
          >
            {days.map(({ day, price }, index) => {
              const height = Math.max(1, (price / most) * 58);
              return (
                <rect key={day} x={index * 10 + 1} y={60 - height} width={8} height={height}>
                  <title>{`${day}: ${price.toFixed(4)} USD`}</title>
                </rect>
              );
            })}
          </svg>
          <p className="hint">
            {days[0]?.day} to {days.at(-1)?.day}, at most {most.toFixed(4)} USD a day
          </p>
        </>
      ) : usage.isSuccess ? (
        <Empty>Nothing was spent yet.</Empty>
      ) : null}
    </Panel>
  );
}

function OptOuts() {
  const outs = useQuery({
    queryKey: ["opt-outs"],
    queryFn: () => own<Answer<"/opt-outs">>("/opt-outs"),
    refetchInterval: 10_000,
  });
  const all = outs.data?.opt_outs ?? [];
  return (
    <Panel title="Opt-outs">
      <Problem error={outs.error} />
      {all.length > 0 ? (
        <table>
          <thead>
            <tr>
              <th>Who</th>
              <th>Of</th>
              <th>By</th>
              <th>Since</th>
            </tr>
          </thead>
          <tbody>
            {all.slice(0, 200).map(({ account_sid, scope, address, source, at }) => (
              <tr key={account_sid + scope + address}>
                <td>
                  <Inert text={address} />
                </td>
                <td>
                  <Inert text={scope} />
                </td>
                <td>{source}</td>
                <td>
                  <At time={at} today="" />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      ) : null}
      {outs.isSuccess && all.length === 0 ? <Empty>Nobody has opted out.</Empty> : null}
    </Panel>
  );
}
