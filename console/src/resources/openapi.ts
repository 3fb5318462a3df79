// The resource tables of the platform, as its OpenAPI describes them.

export interface Schema {
  type?: string | string[];
  enum?: string[];
  format?: string;
  pattern?: string;
  default?: string;
  minimum?: number;
  maximum?: number;
  maxLength?: number;
  items?: Schema;
  properties?: Record<string, Schema>;
  required?: string[];
  $ref?: string;
}

export interface Parameter {
  name: string;
  in: "path" | "query";
  required: boolean;
  schema: Schema;
}

export interface Operation {
  operationId: string;
  tags: string[];
  parameters?: Parameter[];
  requestBody?: { content: Record<string, { schema: Schema }> };
  responses: Record<string, { content?: Record<string, { schema: Schema }> }>;
}

export type Method = "get" | "post" | "delete";
export type Item = Partial<Record<Method, Operation>>;

export interface Description {
  paths: Record<string, Item>;
  components: { schemas: Record<string, Schema> };
}

export const openapi = {
  queryKey: ["openapi"],
  queryFn: async (): Promise<Description> => (await fetch("/_offhook/openapi.json")).json(),
  staleTime: Number.POSITIVE_INFINITY,
};

/** A path of the description that a concrete one fits, and its item. */
export interface Found {
  template: string;
  item: Item;
}

export function find(description: Description, path: string): Found | null {
  const parts = (path.split("?")[0] ?? "").split("/");
  const fits = (template: string) => {
    const wanted = template.split("/");
    return (
      wanted.length === parts.length &&
      wanted.every((part, index) => {
        const is = parts[index] ?? "";
        if (!part.startsWith("{")) return part === is;
        const [, suffix = ""] = /^\{[^}]*\}(.*)$/.exec(part) ?? [];
        return is !== "" && is.endsWith(suffix);
      })
    );
  };
  // A fixed name goes before a parameter: `Local.json` before `{Sid}.json`.
  const templates = Object.keys(description.paths).filter(fits);
  const template = templates.sort((a, b) => a.split("{").length - b.split("{").length)[0];
  const item = template ? description.paths[template] : undefined;
  return template && item ? { template, item } : null;
}

/** Whether an operation answers with a page of many. */
export function isList(operation: Operation | undefined): boolean {
  return operation?.operationId.startsWith("List") ?? false;
}

/** The schema of one record that an operation answers with. */
export function recordOf(description: Description, operation: Operation): Schema | null {
  const ok = Object.entries(operation.responses).find(([status]) => status.startsWith("2"));
  let schema = ok?.[1].content?.["application/json"]?.schema;
  if (isList(operation)) schema = Object.values(schema?.properties ?? {})[0]?.items;
  const name = schema?.$ref?.split("/").at(-1);
  return name ? (description.components.schemas[name] ?? null) : (schema ?? null);
}

export interface FormOf {
  schema: Schema;
  isJson: boolean;
}

export function formOf(operation: Operation | undefined): FormOf | null {
  const content = operation?.requestBody?.content;
  if (!content) return null;
  const isJson = "application/json" in content;
  const schema = Object.values(content)[0]?.schema;
  return schema ? { schema, isJson } : null;
}

export interface ListEntry {
  path: string;
  product: string;
  name: string;
}

const parent = (template: string) => template.replaceAll("{AccountSid}", "").includes("{");

/** Lists that hang on nothing but the account, in the order of the description. */
export function listsOf(description: Description): ListEntry[] {
  const entries: ListEntry[] = [];
  for (const [template, item] of Object.entries(description.paths)) {
    // Our own API is no resource.
    if (!template.startsWith("/_/") || parent(template) || !(item.get || item.post)) continue;
    const [, , product = "", ...rest] = template.split("/");
    const from = product === "api" ? rest.indexOf("{AccountSid}") + 1 || 1 : 1;
    const name = rest
      .slice(from)
      .join(" / ")
      .replace(/\.json$/, "");
    entries.push({ path: template, product, name });
  }
  return entries;
}

/** Lists below an instance: the same path and one name more. */
export function below(description: Description, template: string, path: string): ListEntry[] {
  const stem = template.replace(/\.json$/, "");
  const here = path.replace(/\.json$/, "").split("?")[0] ?? "";
  const depth = stem.split("/").length;
  const entries: ListEntry[] = [];
  for (const [other, item] of Object.entries(description.paths)) {
    const parts = other.split("/");
    // The names of parameters differ between a table and those below it.
    const same = stem
      .split("/")
      .every((part, index) =>
        part.startsWith("{") ? parts[index]?.startsWith("{") : part === parts[index],
      );
    const rest = parts.slice(depth);
    if (!same || rest.length === 0 || rest.some((part) => part.startsWith("{"))) continue;
    if (!(item.get || item.post)) continue;
    const name = rest.join(" / ").replace(/\.json$/, "");
    entries.push({ path: `${here}/${rest.join("/")}`, product: parts[2] ?? "", name });
  }
  return entries;
}
