// The account's numbers: which program answers them, and buying more.

import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Form as AriaForm, Button } from "react-aria-components";
import { loadEnv, page, type Resource, wire } from "../api";
import { Badge, Copy, Empty, Inert, Panel, Problem, pretty } from "../ui";
import { Form } from "./form";
import { formOf, openapi } from "./openapi";

const INSTANCE = "/_/api/2010-04-01/Accounts/{AccountSid}/IncomingPhoneNumbers/{Sid}.json";
/** What people come here for. */
const FIRST = [
  "FriendlyName",
  "SmsUrl",
  "SmsMethod",
  "SmsFallbackUrl",
  "VoiceUrl",
  "VoiceMethod",
  "StatusCallback",
];
const FOUND = 8;

const account = (sid: string, rest: string) => `/_/api/2010-04-01/Accounts/${sid}/${rest}`;

export function Numbers() {
  const env = useQuery({ queryKey: ["env"], queryFn: loadEnv });
  const sid = env.data?.account_sid ?? "";
  const numbers = useInfiniteQuery({
    queryKey: ["numbers", sid],
    queryFn: ({ pageParam }) => page(pageParam),
    initialPageParam: account(sid, "IncomingPhoneNumbers.json?PageSize=100"),
    getNextPageParam: (last) => last.next,
    enabled: sid !== "",
  });
  const all = numbers.data?.pages.flatMap((one) => one.items) ?? [];
  return (
    <div className="page">
      <Panel title="Numbers">
        <Problem error={numbers.error} />
        <ul className="cards">
          {all.map((number) => (
            <NumberCard key={String(number.sid)} number={number} sid={sid} />
          ))}
        </ul>
        {numbers.hasNextPage ? (
          <Button className="quiet" onPress={() => numbers.fetchNextPage()}>
            More
          </Button>
        ) : null}
      </Panel>
      {sid ? <Buy sid={sid} /> : null}
    </div>
  );
}

function NumberCard({ number, sid }: { number: Resource; sid: string }) {
  const client = useQueryClient();
  const description = useQuery(openapi);
  const form = formOf(description.data?.paths[INSTANCE]?.post);
  const [error, setError] = useState<unknown>(null);
  const [sure, setSure] = useState(false);
  const path = account(sid, `IncomingPhoneNumbers/${number.sid}.json`);
  const again = () => client.invalidateQueries({ queryKey: ["numbers"] });
  const release = async () => {
    try {
      await wire(path, "DELETE");
      await again();
    } catch (failure) {
      setError(failure);
    }
  };
  const phone = String(number.phone_number);
  return (
    <li>
      <details>
        <summary>
          <b>{pretty(phone)}</b>
          {number.sms_url ? (
            <small>
              texts go to <Inert text={String(number.sms_url)} />
            </small>
          ) : (
            <Badge as="wait">no program answers texts</Badge>
          )}
        </summary>
        <p className="row">
          <code>{String(number.sid)}</code>
          <Copy text={phone} label="Copy number" />
          <Button className="danger" onPress={() => (sure ? void release() : setSure(true))}>
            {sure ? "Release for good" : "Release"}
          </Button>
        </p>
        <Problem error={error} />
        {form ? (
          <Form
            form={form}
            record={number}
            first={FIRST}
            submit="Save"
            onSubmit={async (values) => {
              await wire(path, "POST", values);
              await again();
            }}
          />
        ) : null}
      </details>
    </li>
  );
}

const KINDS = ["Local", "TollFree", "Mobile"];

function Buy({ sid }: { sid: string }) {
  const client = useQueryClient();
  const [kind, setKind] = useState("Local");
  const [country, setCountry] = useState("US");
  const [contains, setContains] = useState("");
  const [found, setFound] = useState<Resource[] | null>(null);
  const [error, setError] = useState<unknown>(null);
  const search = async () => {
    const query = new URLSearchParams({ PageSize: String(FOUND) });
    if (contains) query.set("Contains", contains);
    try {
      const path = `AvailablePhoneNumbers/${country}/${kind}.json?${query}`;
      setFound((await page(account(sid, path))).items);
      setError(null);
    } catch (failure) {
      setFound(null);
      setError(failure);
    }
  };
  const buy = async (number: string) => {
    try {
      await wire(account(sid, "IncomingPhoneNumbers.json"), "POST", { PhoneNumber: number });
      setFound(null);
      setError(null);
      await client.invalidateQueries({ queryKey: ["numbers"] });
    } catch (failure) {
      setError(failure);
    }
  };
  return (
    <Panel title="Buy a number">
      <AriaForm
        className="row wrap"
        onSubmit={(event) => {
          event.preventDefault();
          void search();
        }}
      >
        <label className="field short">
          <span>Country</span>
          <input
            value={country}
            maxLength={2}
            required
            onChange={(event) => setCountry(event.target.value.toUpperCase())}
          />
        </label>
        <label className="field short">
          <span>Kind</span>
          <select value={kind} onChange={(event) => setKind(event.target.value)}>
            {KINDS.map((one) => (
              <option key={one}>{one}</option>
            ))}
          </select>
        </label>
        <label className="field short">
          <span>Contains</span>
          <input
            value={contains}
            placeholder="415 or OFFHOOK"
            onChange={(event) => setContains(event.target.value)}
          />
        </label>
        <Button type="submit">Search</Button>
      </AriaForm>
      <Problem error={error} />
      <ul className="cards">
        {(found ?? []).map((number) => (
          <li key={String(number.phone_number)} className="row">
            <b>{pretty(String(number.phone_number))}</b>
            <small>
              {[number.locality, number.region, number.iso_country].filter(Boolean).join(", ")}
            </small>
            <Button onPress={() => buy(String(number.phone_number))}>Buy</Button>
          </li>
        ))}
      </ul>
      {found?.length === 0 ? <Empty>No number fits.</Empty> : null}
    </Panel>
  );
}
