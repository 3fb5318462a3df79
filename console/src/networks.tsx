// Where messages and calls leave the platform, and how many of them arrive.

import { useQuery } from "@tanstack/react-query";
import { type Answer, own } from "./api";
import { At, Badge, Empty, Inert, Panel, Problem } from "./ui";

const EVERY_MS = 5000;
const KINDS = { sip: "telephone", browser: "browser phone", smpp: "application" };

export function Networks() {
  const found = useQuery({
    queryKey: ["networks"],
    queryFn: () => own<Answer<"/networks">>("/networks"),
    refetchInterval: EVERY_MS,
  });
  const routes = found.data?.routes ?? [];
  const registered = found.data?.registered ?? [];
  return (
    <Panel title="Carriers and routes">
      <Problem error={found.error} />
      <table>
        <thead>
          <tr>
            <th>Network</th>
            <th>What</th>
            <th>State</th>
          </tr>
        </thead>
        <tbody>
          {(found.data?.networks ?? []).map((network) => (
            <tr key={`${network.kind} ${network.name} ${network.what}`}>
              <td>
                {network.kind === network.name ? network.kind : `${network.kind}: ${network.name}`}
              </td>
              <td>
                <Inert text={network.what} />
              </td>
              <td>
                <Badge as={network.up ? "good" : "bad"}>{network.state}</Badge>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {registered.length > 0 ? (
        <table aria-label="Registered">
          <thead>
            <tr>
              <th>Registered</th>
              <th>Where</th>
              <th>Until</th>
            </tr>
          </thead>
          <tbody>
            {registered.map((one) => (
              <tr key={`${one.kind} ${one.of} ${one.name} ${one.what}`}>
                <td>
                  {KINDS[one.kind]} <Inert text={one.name} />
                  {one.of ? (
                    <>
                      {" "}
                      <code>{one.of}</code>
                    </>
                  ) : null}
                </td>
                <td>
                  <Inert text={one.what} />
                </td>
                <td>{one.expires ? <At time={one.expires} /> : "it leaves"}</td>
              </tr>
            ))}
          </tbody>
        </table>
      ) : null}
      {routes.length > 0 ? (
        <table>
          <thead>
            <tr>
              <th>To</th>
              <th>From</th>
              <th>By</th>
            </tr>
          </thead>
          <tbody>
            {routes.map((route, index) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: the order is what they are
              <tr key={index}>
                <td>{route.to || "anybody"}</td>
                <td>{route.from || "anybody"}</td>
                <td>
                  {route.carriers
                    .map(({ name, share }) => (share === undefined ? name : `${name} ${share} %`))
                    .join(", ")}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      ) : found.isSuccess ? (
        <p className="hint">No routes: every message goes to the simulated phones.</p>
      ) : null}
    </Panel>
  );
}

export function DeliveryRates() {
  const found = useQuery({
    queryKey: ["delivery-rates"],
    queryFn: () => own<Answer<"/delivery-rates">>("/delivery-rates"),
    refetchInterval: EVERY_MS,
  });
  const rates = found.data?.delivery_rates ?? [];
  return (
    <Panel title="Delivery rate">
      <Problem error={found.error} />
      {rates.length > 0 ? (
        <table>
          <thead>
            <tr>
              <th>Sender</th>
              <th className="number">Arrived</th>
            </tr>
          </thead>
          <tbody>
            {rates.slice(0, 200).map(({ account_sid, sender, share }) => (
              <tr key={account_sid + sender}>
                <td>
                  <Inert text={sender} />
                  <meter
                    aria-label={`${sender}: ${Math.round(share * 100)} %`}
                    max={1}
                    low={0.8}
                    optimum={1}
                    value={share}
                  />
                </td>
                <td className="number">{Math.round(share * 100)} %</td>
              </tr>
            ))}
          </tbody>
        </table>
      ) : null}
      {found.isSuccess && rates.length === 0 ? (
        <Empty>No sender has sent enough of late to tell.</Empty>
      ) : null}
    </Panel>
  );
}
