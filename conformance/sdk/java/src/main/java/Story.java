// The story of the official Java SDK as an unmodified client of Offhook.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import com.twilio.base.Page;
import com.twilio.exception.ApiException;
import com.twilio.http.HttpMethod;
import com.twilio.http.NetworkHttpClient;
import com.twilio.http.TwilioRestClient;
import com.twilio.rest.accounts.v1.AuthTokenPromotion;
import com.twilio.rest.accounts.v1.SecondaryAuthToken;
import com.twilio.rest.api.v2010.Account;
import com.twilio.rest.api.v2010.account.Application;
import com.twilio.rest.api.v2010.account.Balance;
import com.twilio.rest.api.v2010.account.IncomingPhoneNumber;
import com.twilio.rest.api.v2010.account.IncomingPhoneNumberReader;
import com.twilio.rest.api.v2010.account.Key;
import com.twilio.rest.api.v2010.account.Message;
import com.twilio.rest.api.v2010.account.MessageCreator;
import com.twilio.rest.api.v2010.account.MessageReader;
import com.twilio.rest.api.v2010.account.NewKey;
import com.twilio.rest.api.v2010.account.availablephonenumbercountry.Local;
import com.twilio.rest.api.v2010.account.message.Media;
import com.twilio.security.RequestValidator;
import com.twilio.twiml.MessagingResponse;
import com.twilio.twiml.messaging.Body;
import com.twilio.type.PhoneNumber;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.URLDecoder;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.Executors;
import java.util.function.Supplier;
import org.apache.hc.client5.http.HttpRoute;
import org.apache.hc.client5.http.impl.classic.HttpClientBuilder;
import org.apache.hc.core5.http.HttpHost;

public class Story {
    static final String URL = System.getenv("OFFHOOK_URL");
    static final String ACCOUNT = System.getenv("TWILIO_ACCOUNT_SID");
    static final String TOKEN = System.getenv("TWILIO_AUTH_TOKEN");
    static final String NUMBER = System.getenv("TWILIO_PHONE_NUMBER");
    static final String TEST_ACCOUNT = System.getenv("TEST_ACCOUNT_SID");
    static final String TEST_TOKEN = System.getenv("TEST_AUTH_TOKEN");
    static final byte[] PIXEL = HexFormat.of().parseHex(
        "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
            + "0000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082");

    /** Routes every host to the instance; the Host header keeps X.twilio.com. */
    static TwilioRestClient connect(String user, String password, String account) {
        URI target = URI.create(URL);
        HttpHost instance = new HttpHost("http", target.getHost(), target.getPort());
        HttpClientBuilder builder = HttpClientBuilder.create()
            .setRoutePlanner((host, context) -> new HttpRoute(instance));
        return new TwilioRestClient.Builder(user, password)
            .accountSid(account)
            .httpClient(new NetworkHttpClient(builder))
            .build();
    }

    /** A webhook that this program received. */
    record Hook(String method, String path, String url, Map<String, String> form,
                Map<String, String> query, String signature) {}

    static final List<Hook> seen = new CopyOnWriteArrayList<>();
    static final Map<String, String> replies = new ConcurrentHashMap<>();

    static Map<String, String> pairs(String text) {
        Map<String, String> pairs = new HashMap<>();
        for (String pair : text == null || text.isEmpty() ? new String[0] : text.split("&")) {
            String[] parts = pair.split("=", 2);
            pairs.put(URLDecoder.decode(parts[0], StandardCharsets.UTF_8),
                URLDecoder.decode(parts.length > 1 ? parts[1] : "", StandardCharsets.UTF_8));
        }
        return pairs;
    }

    /** Answers webhooks and media. */
    static void serve(HttpExchange exchange) throws IOException {
        URI uri = exchange.getRequestURI();
        String text = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
        byte[] answer = PIXEL;
        String type = "image/png";
        if (!uri.getPath().equals("/pixel.png")) {
            String signature = exchange.getRequestHeaders().getFirst("X-Twilio-Signature");
            seen.add(new Hook(exchange.getRequestMethod(), uri.getPath(),
                "http://" + exchange.getRequestHeaders().getFirst("Host") + uri, pairs(text),
                pairs(uri.getRawQuery()), signature == null ? "" : signature));
            answer = replies.getOrDefault(uri.getPath(), "").getBytes(StandardCharsets.UTF_8);
            type = "text/xml";
        }
        exchange.getResponseHeaders().set("Content-Type", type);
        if (exchange.getRequestMethod().equals("HEAD")) {
            exchange.sendResponseHeaders(200, -1);
        } else {
            exchange.sendResponseHeaders(200, answer.length == 0 ? -1 : answer.length);
            exchange.getResponseBody().write(answer);
        }
        exchange.close();
    }

    static List<Hook> hooks(String path) {
        return seen.stream().filter(hook -> hook.path.equals(path)).toList();
    }

    static Hook firstHook(String path) {
        return until("a webhook of " + path, () -> hooks(path).stream().findFirst().orElse(null));
    }

    interface Step {
        void run() throws Exception;
    }

    static int passed;
    static int failed;

    static void check(String name, Step step) {
        try {
            step.run();
            passed++;
            System.out.println("ok java " + name);
        } catch (Exception | AssertionError error) {
            failed++;
            String why = error instanceof AssertionError ? error.getMessage() : error.toString();
            System.out.println("not ok java " + name + ": " + why.replaceAll("\\s+", " "));
        }
    }

    static void ensure(boolean holds, String why) {
        if (!holds) {
            throw new AssertionError(why);
        }
    }

    static void expect(Object got, Object wanted, String what) {
        ensure(Objects.equals(got, wanted), what + " is " + got + ", not " + wanted);
    }

    static void matches(String pattern, String text) {
        ensure(text != null && text.matches(pattern), text);
    }

    /** The exception that a step must throw. */
    static void refused(int code, int status, Step step) throws Exception {
        try {
            step.run();
        } catch (ApiException error) {
            expect(error.getCode(), code, "code");
            expect(error.getStatusCode(), status, "statusCode");
            expect(error.getMoreInfo(), "https://www.twilio.com/docs/errors/" + code, "moreInfo");
            ensure(error.getMessage() != null, "the exception has no message");
            return;
        }
        throw new AssertionError("no error, " + code + " expected");
    }

    /** Polls for five seconds until the probe answers something. */
    static <T> T until(String what, Supplier<T> probe) {
        long end = System.nanoTime() + 5_000_000_000L;
        while (true) {
            T found = probe.get();
            if (found != null) {
                return found;
            }
            ensure(System.nanoTime() < end, what + " within 5 s");
            try {
                Thread.sleep(50);
            } catch (InterruptedException error) {
                throw new AssertionError("interrupted");
            }
        }
    }

    static final ObjectMapper json = new ObjectMapper();
    static final java.net.http.HttpClient plain = java.net.http.HttpClient.newBuilder()
        .followRedirects(java.net.http.HttpClient.Redirect.NORMAL).build();

    static JsonNode offhook(String path, Map<String, String> body) {
        try {
            HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(URL + "/_offhook/v1" + path));
            if (body != null) {
                request.header("Content-Type", "application/json")
                    .POST(HttpRequest.BodyPublishers.ofString(json.writeValueAsString(body)));
            }
            var response = plain.send(request.build(), HttpResponse.BodyHandlers.ofString());
            ensure(response.statusCode() < 300, path + " answered " + response.statusCode());
            return json.readTree(response.body());
        } catch (IOException | InterruptedException error) {
            throw new AssertionError(error.toString());
        }
    }

    static String typeOn(String phone, String body) {
        var typed = Map.of("to", NUMBER, "body", body);
        return offhook("/handsets/" + phone + "/messages", typed).get("sid").asText();
    }

    static JsonNode threadOf(String phone) {
        return offhook("/handsets/" + phone + "/messages", null).get("messages");
    }

    static final TwilioRestClient client = connect(ACCOUNT, TOKEN, ACCOUNT);

    static MessageCreator to(String phone, String body) {
        return Message.creator(new PhoneNumber(phone), new PhoneNumber(NUMBER), body);
    }

    static Message send(String phone, String body) {
        return to(phone, body).create(client);
    }

    static Message fetch(String sid) {
        return Message.fetcher(sid).fetch(client);
    }

    static Message delivered(String sid) {
        return until(sid + " delivered", () -> {
            Message message = fetch(sid);
            return message.getStatus() == Message.Status.DELIVERED ? message : null;
        });
    }

    static List<String> found(MessageReader reader) {
        List<String> sids = new ArrayList<>();
        reader.read(client).forEach(message -> sids.add(message.getSid()));
        return sids;
    }

    static List<String> found(IncomingPhoneNumberReader reader) {
        List<String> sids = new ArrayList<>();
        reader.read(client).forEach(number -> sids.add(number.getSid()));
        return sids;
    }

    static IncomingPhoneNumber updateOwnNumber(String url, HttpMethod method) {
        String sid = found(IncomingPhoneNumber.reader().setPhoneNumber(NUMBER)).get(0);
        return IncomingPhoneNumber.updater(sid).setSmsUrl(url).setSmsMethod(method).update(client);
    }

    static String balance(String user, String password) {
        return Balance.fetcher().fetch(connect(user, password, user)).getAccountSid();
    }

    static String message, available, bought, app, key, secret, sub, subToken, picture;

    public static void main(String[] args) throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
        server.setExecutor(Executors.newCachedThreadPool());
        server.createContext("/", Story::serve);
        server.start();
        String hookUrl = "http://127.0.0.1:" + server.getAddress().getPort();
        RequestValidator validator = new RequestValidator(TOKEN);
        messages(hookUrl, validator);
        inbound(hookUrl, validator);
        numbers(hookUrl);
        accounts();
        testCredentials();
        phones(hookUrl);
        System.out.println("java: " + passed + " passed, " + failed + " failed");
        System.exit(failed > 0 ? 1 : 0);
    }

    static void messages(String hookUrl, RequestValidator validator) {
        check("create a message", () -> {
            Message made = send("+14155550101", "Hello from Java");
            expect(made.getStatus(), Message.Status.QUEUED, "status");
            expect(made.getNumSegments(), "1", "numSegments");
            expect(made.getDirection(), Message.Direction.OUTBOUND_API, "direction");
            expect(made.getFrom().toString(), NUMBER, "from");
            matches("SM[0-9a-f]{32}", made.getSid());
            ensure(made.getDateCreated() != null, "dateCreated is missing");
            expect(send("+14155550101", "é".repeat(161)).getNumSegments(), "2", "numSegments of 161");
            expect(send("+14155550101", "ж".repeat(71)).getNumSegments(), "2", "numSegments of 71 UCS-2");
            message = made.getSid();
        });
        check("fetch a message", () -> {
            Message fetched = fetch(message);
            expect(fetched.getSid(), message, "sid");
            expect(fetched.getTo(), "+14155550101", "to");
            expect(fetched.getBody(), "Hello from Java", "body");
            expect(fetched.getAccountSid(), ACCOUNT, "accountSid");
        });
        check("a message is delivered", () -> {
            Message fetched = delivered(message);
            expect(fetched.getErrorCode(), null, "errorCode");
            ensure(fetched.getDateSent() != null, "dateSent is missing");
        });
        check("list messages by pages", () -> {
            List<String> sent = new ArrayList<>();
            for (int n = 0; n < 7; n++) {
                sent.add(0, send("+14155550102", "Page " + n).getSid());
            }
            MessageReader reader = Message.reader().setTo("+14155550102").setPageSize(3L);
            List<Integer> sizes = new ArrayList<>();
            List<String> walked = new ArrayList<>();
            Page<Message> page = reader.firstPage(client);
            while (true) {
                sizes.add(page.getRecords().size());
                page.getRecords().forEach(one -> walked.add(one.getSid()));
                if (!page.hasNextPage() || sizes.size() > 5) {
                    break;
                }
                page = reader.nextPage(page, client);
            }
            expect(sizes, List.of(3, 3, 1), "page sizes");
            expect(walked, sent, "walked SIDs");
            expect(found(Message.reader().setTo("+14155550102").setPageSize(2L)), sent, "read SIDs");
            List<String> everything = found(Message.reader().setPageSize(3L));
            expect(new HashSet<>(everything).size(), everything.size(), "distinct SIDs of the whole list");
            ensure(everything.containsAll(sent), "the whole list lacks a message");
        });
        check("list messages with filters", () -> {
            String to = "+14155550103";
            String sid = send(to, "Hello").getSid();
            delivered(sid);
            ZonedDateTime now = ZonedDateTime.now(ZoneOffset.UTC);
            ZonedDateTime day = now.truncatedTo(ChronoUnit.DAYS);
            Supplier<MessageReader> all = () -> Message.reader().setTo(to);
            List<String> one = List.of(sid);
            List<String> none = List.of();
            expect(found(all.get()), one, "to");
            expect(found(all.get().setFrom(NUMBER)), one, "from");
            expect(found(all.get().setFrom("+14155550199")), none, "another from");
            expect(found(all.get().setDateSent(day)), one, "dateSent today");
            expect(found(all.get().setDateSent(day.minusDays(2))), none, "dateSent two days ago");
            expect(found(all.get().setDateSentAfter(now.minusHours(1))), one, "dateSentAfter");
            expect(found(all.get().setDateSentAfter(now.plusHours(1))), none, "dateSentAfter the future");
            expect(found(all.get().setDateSentBefore(now.plusHours(1))), one, "dateSentBefore");
            expect(found(all.get().setDateSentBefore(now.minusHours(1))), none, "dateSentBefore the past");
        });
        check("redact a message", () -> {
            expect(Message.updater(message).setBody("").update(client).getBody(), "", "body of the answer");
            expect(fetch(message).getBody(), "", "body fetched");
        });
        check("delete a message", () -> {
            expect(Message.deleter(message).delete(client), true, "delete");
            refused(20404, 404, () -> fetch(message));
        });
        check("error 21211: a bad To", () -> refused(21211, 400, () -> send("+1415", "x")));
        check("error 21603: no sender", () -> refused(21603, 400, () ->
            Message.creator(new PhoneNumber("+14155550101"), (PhoneNumber) null, "x").create(client)));
        check("error 21604: no recipient", () -> refused(21604, 400, () -> send("", "x")));
        check("error 21617: a long body", () ->
            refused(21617, 400, () -> send("+14155550101", "x".repeat(1601))));
        check("error 20003: a wrong token", () -> {
            TwilioRestClient wrong = connect(ACCOUNT, "0".repeat(32), ACCOUNT);
            refused(20003, 401, () -> to("+14155550101", "x").create(wrong));
        });
        check("error 20404: an unknown SID", () ->
            refused(20404, 404, () -> fetch("SM" + "0".repeat(32))));
        check("status callbacks arrive in order and signed", () -> {
            String sid = to("+14155550104", "Hello").setStatusCallback(hookUrl + "/status").create(client).getSid();
            until("three callbacks", () -> hooks("/status").size() >= 3 ? true : null);
            delivered(sid);
            List<String> statuses = new ArrayList<>();
            for (Hook hook : hooks("/status")) {
                statuses.add(hook.form.get("MessageStatus"));
                expect(hook.method, "POST", "method");
                expect(hook.form.get("MessageSid"), sid, "MessageSid");
                expect(hook.form.get("AccountSid"), ACCOUNT, "AccountSid");
                ensure(validator.validate(hook.url, hook.form, hook.signature), "bad signature");
                Map<String, String> tampered = new HashMap<>(hook.form);
                tampered.put("MessageStatus", "failed");
                ensure(!validator.validate(hook.url, tampered, hook.signature), "no signature");
            }
            expect(statuses, List.of("sending", "sent", "delivered"), "statuses");
        });
    }

    static void inbound(String hookUrl, RequestValidator validator) {
        check("an inbound message reaches the webhook signed", () -> {
            var line = new com.twilio.twiml.messaging.Message.Builder()
                .body(new Body.Builder("You said <hi> & it works").build()).build();
            replies.put("/sms", new MessagingResponse.Builder().message(line).build().toXml());
            IncomingPhoneNumber updated = updateOwnNumber(hookUrl + "/sms", HttpMethod.POST);
            expect(updated.getSmsUrl(), URI.create(hookUrl + "/sms"), "smsUrl");
            String sid = typeOn("+14155550105", "hi über & out");
            Hook hook = firstHook("/sms");
            expect(hook.method, "POST", "method");
            expect(hook.form.get("From"), "+14155550105", "From");
            expect(hook.form.get("To"), NUMBER, "To");
            expect(hook.form.get("Body"), "hi über & out", "Body");
            expect(hook.form.get("NumMedia"), "0", "NumMedia");
            expect(hook.form.get("MessageSid"), sid, "MessageSid");
            expect(hook.form.get("AccountSid"), ACCOUNT, "AccountSid");
            ensure(validator.validate(hook.url, hook.form, hook.signature), "bad signature");
            expect(fetch(sid).getDirection(), Message.Direction.INBOUND, "direction");
            expect(fetch(sid).getStatus(), Message.Status.RECEIVED, "status");
        });
        check("a TwiML reply reaches the phone", () -> {
            JsonNode line = until("the reply", () -> {
                for (JsonNode one : threadOf("+14155550105")) {
                    if (one.get("direction").asText().equals("received")) {
                        return one;
                    }
                }
                return null;
            });
            expect(line.get("body").asText(), "You said <hi> & it works", "body");
            expect(line.get("peer").asText(), NUMBER, "peer");
            Message reply = fetch(line.get("sid").asText());
            expect(reply.getDirection(), Message.Direction.OUTBOUND_REPLY, "direction");
        });
        check("a GET webhook is signed", () -> {
            updateOwnNumber(hookUrl + "/get?kept=1", HttpMethod.GET);
            String sid = typeOn("+14155550106", "by GET & more");
            Hook hook = firstHook("/get");
            expect(hook.method, "GET", "method");
            expect(hook.query.get("kept"), "1", "own query");
            expect(hook.query.get("Body"), "by GET & more", "Body");
            expect(hook.query.get("MessageSid"), sid, "MessageSid");
            ensure(validator.validate(hook.url, Map.of(), hook.signature), "bad signature");
            URI cleared = updateOwnNumber("", HttpMethod.POST).getSmsUrl();
            ensure(cleared == null || cleared.toString().isEmpty(), "smsUrl is " + cleared);
        });
    }

    static void numbers(String hookUrl) {
        check("search available numbers", () -> {
            List<Local> found = new ArrayList<>();
            Local.reader("US").setContains("415").limit(5).read(client).forEach(found::add);
            ensure(!found.isEmpty() && found.size() <= 5, found.size() + " numbers");
            for (Local number : found) {
                matches("\\+1\\d*415\\d*", number.getPhoneNumber().toString());
                expect(number.getIsoCountry(), "US", "isoCountry");
                ensure(number.getCapabilities().getSms(), "no SMS capability");
            }
            available = found.get(0).getPhoneNumber().toString();
        });
        check("buy a number", () -> {
            IncomingPhoneNumber made = IncomingPhoneNumber.creator(new PhoneNumber(available)).create(client);
            expect(made.getPhoneNumber().toString(), available, "phoneNumber");
            matches("PN[0-9a-f]{32}", made.getSid());
            ensure(made.getCapabilities().getSms(), "no SMS capability");
            bought = made.getSid();
        });
        check("update a number", () -> {
            IncomingPhoneNumber updated =
                IncomingPhoneNumber.updater(bought).setFriendlyName("Front desk").update(client);
            expect(updated.getFriendlyName(), "Front desk", "friendlyName");
            String fetched = IncomingPhoneNumber.fetcher(bought).fetch(client).getFriendlyName();
            expect(fetched, "Front desk", "friendlyName fetched");
        });
        check("list numbers with a filter", () -> {
            Supplier<IncomingPhoneNumberReader> all = IncomingPhoneNumber::reader;
            expect(found(all.get().setPhoneNumber(available)), List.of(bought), "phoneNumber");
            expect(found(all.get().setFriendlyName("Front desk")), List.of(bought), "friendlyName");
            expect(found(all.get().setFriendlyName("Nobody")), List.of(), "another friendlyName");
            ensure(found(all.get()).size() >= 2, "the whole list lacks a number");
        });
        check("release a number", () -> {
            expect(IncomingPhoneNumber.deleter(bought).delete(client), true, "delete");
            refused(20404, 404, () -> IncomingPhoneNumber.fetcher(bought).fetch(client));
        });
        check("create and fetch an application", () -> {
            app = Application.creator().setFriendlyName("Desk app").setSmsUrl(hookUrl + "/app")
                .create(client).getSid();
            matches("AP[0-9a-f]{32}", app);
            Application fetched = Application.fetcher(app).fetch(client);
            expect(fetched.getFriendlyName(), "Desk app", "friendlyName");
            expect(fetched.getSmsUrl(), URI.create(hookUrl + "/app"), "smsUrl");
        });
        check("update and list applications", () -> {
            Application updated = Application.updater(app).setFriendlyName("Till").update(client);
            expect(updated.getFriendlyName(), "Till", "friendlyName");
            List<String> sids = new ArrayList<>();
            Application.reader().setFriendlyName("Till").read(client).forEach(one -> sids.add(one.getSid()));
            expect(sids, List.of(app), "list");
            boolean old = Application.reader().setFriendlyName("Desk app").read(client).iterator().hasNext();
            expect(old, false, "list by the old name");
        });
        check("delete an application", () -> {
            expect(Application.deleter(app).delete(client), true, "delete");
            refused(20404, 404, () -> Application.fetcher(app).fetch(client));
        });
    }

    static void accounts() {
        check("create an API key", () -> {
            NewKey made = NewKey.creator().setFriendlyName("Story key").create(client);
            key = made.getSid();
            secret = made.getSecret();
            matches("SK[0-9a-f]{32}", key);
            ensure(secret.matches("[0-9a-zA-Z]{32}"), "secret");
            // The SDK's type of a fetched key has no secret.
            expect(Key.fetcher(key).fetch(client).getFriendlyName(), "Story key", "friendlyName");
        });
        check("an API key authenticates", () -> {
            TwilioRestClient keyed = connect(key, secret, ACCOUNT);
            Message made = to("+14155550101", "By key").create(keyed);
            expect(made.getAccountSid(), ACCOUNT, "accountSid");
            refused(20003, 401, () -> Key.reader().read(keyed));
            TwilioRestClient wrong = connect(key, "x".repeat(32), ACCOUNT);
            refused(20003, 401, () -> Message.fetcher(made.getSid()).fetch(wrong));
        });
        check("a deleted API key is refused", () -> {
            expect(Key.deleter(key).delete(client), true, "delete");
            TwilioRestClient keyed = connect(key, secret, ACCOUNT);
            refused(20003, 401, () -> to("+14155550101", "x").create(keyed));
        });
        check("create a subaccount", () -> {
            Account made = Account.creator().setFriendlyName("Branch").create(client);
            sub = made.getSid();
            subToken = made.getAuthToken();
            matches("AC[0-9a-f]{32}", sub);
            expect(made.getStatus(), Account.Status.ACTIVE, "status");
            expect(made.getOwnerAccountSid(), ACCOUNT, "ownerAccountSid");
            List<String> sids = new ArrayList<>();
            Account.reader().setFriendlyName("Branch").read(client).forEach(one -> sids.add(one.getSid()));
            expect(sids, List.of(sub), "list");
        });
        check("the parent reaches the subaccount", () -> {
            TwilioRestClient parent = connect(ACCOUNT, TOKEN, sub);
            Local found = Local.reader("US").setContains("628").limit(1).read(parent).iterator().next();
            IncomingPhoneNumber number = IncomingPhoneNumber.creator(found.getPhoneNumber()).create(parent);
            expect(number.getAccountSid(), sub, "accountSid of the number");
            Message made = Message.creator(new PhoneNumber("+14155550107"), number.getPhoneNumber(), "Hi")
                .create(parent);
            expect(made.getAccountSid(), sub, "accountSid of the message");
            TwilioRestClient child = connect(sub, subToken, sub);
            expect(Message.fetcher(made.getSid()).fetch(child).getSid(), made.getSid(), "the child's fetch");
            refused(20404, 404, () -> fetch(made.getSid()));
            TwilioRestClient upward = connect(sub, subToken, ACCOUNT);
            refused(20003, 401, () -> Message.reader().limit(1).read(upward));
        });
        check("rotate an auth token", () -> {
            TwilioRestClient child = connect(sub, subToken, sub);
            String secondary = SecondaryAuthToken.creator().create(child).getSecondaryAuthToken();
            ensure(secondary.matches("[0-9a-f]{32}"), "secondary token");
            expect(balance(sub, secondary), sub, "account of the secondary token");
            expect(balance(sub, subToken), sub, "account of the primary token");
            expect(AuthTokenPromotion.updater().update(child).getAuthToken(), secondary, "promoted token");
            TwilioRestClient renewed = connect(sub, secondary, sub);
            String owner = Message.reader().limit(1).read(renewed).iterator().next().getAccountSid();
            expect(owner, sub, "account of the promoted token");
            refused(20003, 401, () -> balance(sub, subToken));
            subToken = secondary;
        });
        check("a suspended subaccount is refused", () -> {
            Account suspended = Account.updater(sub).setStatus(Account.Status.SUSPENDED).update(client);
            expect(suspended.getStatus(), Account.Status.SUSPENDED, "status");
            refused(20005, 403, () -> balance(sub, subToken));
            Account.updater(sub).setStatus(Account.Status.ACTIVE).update(client);
            expect(balance(sub, subToken), sub, "account");
        });
        check("close a subaccount", () -> {
            Account closed = Account.updater(sub).setStatus(Account.Status.CLOSED).update(client);
            expect(closed.getStatus(), Account.Status.CLOSED, "status");
            refused(20005, 403, () -> balance(sub, subToken));
            refused(21479, 400, () -> Account.updater(sub).setStatus(Account.Status.ACTIVE).update(client));
        });
        check("fetch the balance", () -> {
            Balance fetched = Balance.fetcher().fetch(client);
            expect(fetched.getAccountSid(), ACCOUNT, "accountSid");
            expect(fetched.getCurrency(), "USD", "currency");
            Double.parseDouble(fetched.getBalance());
        });
    }

    static void testCredentials() {
        TwilioRestClient test = connect(TEST_ACCOUNT, TEST_TOKEN, TEST_ACCOUNT);
        check("test credentials send", () -> {
            Message made = to("+14155550108", "x").setFrom("+15005550006").create(test);
            expect(made.getStatus(), Message.Status.QUEUED, "status");
            expect(made.getAccountSid(), TEST_ACCOUNT, "accountSid");
            Thread.sleep(500);
            expect(threadOf("+14155550108").size(), 0, "messages on the phone");
        });
        check("test credentials raise the magic errors", () -> {
            for (String[] row : new String[][] {
                {"21212", "+15005550001", "+14155550108"},
                {"21606", "+15005550007", "+14155550108"},
                {"21611", "+15005550008", "+14155550108"},
                {"21606", NUMBER, "+14155550108"},
                {"21211", "+15005550006", "+15005550001"},
                {"21612", "+15005550006", "+15005550002"},
                {"21408", "+15005550006", "+15005550003"},
                {"21610", "+15005550006", "+15005550004"},
                {"21614", "+15005550006", "+15005550009"},
            }) {
                refused(Integer.parseInt(row[0]), 400, () -> to(row[2], "x").setFrom(row[1]).create(test));
            }
            PhoneNumber bought = IncomingPhoneNumber.creator(new PhoneNumber("+15005550006"))
                .create(test).getPhoneNumber();
            expect(bought.toString(), "+15005550006", "number bought");
            refused(21422, 400, () ->
                IncomingPhoneNumber.creator(new PhoneNumber("+15005550000")).create(test));
            refused(21421, 400, () ->
                IncomingPhoneNumber.creator(new PhoneNumber("+15005550001")).create(test));
        });
        check("error 20008: a list with test credentials", () ->
            refused(20008, 403, () -> Message.reader().limit(1).read(test)));
    }

    static void phones(String hookUrl) {
        check("send a picture", () -> {
            Message made = to("+14155550109", "Look").setMediaUrl(hookUrl + "/pixel.png").create(client);
            picture = made.getSid();
            matches("MM[0-9a-f]{32}", picture);
            expect(made.getNumMedia(), "1", "numMedia");
            delivered(picture);
        });
        check("list the media of a message", () -> {
            List<Media> list = new ArrayList<>();
            Media.reader(picture).read(client).forEach(list::add);
            expect(list.size(), 1, "media");
            Media media = list.get(0);
            matches("ME[0-9a-f]{32}", media.getSid());
            expect(media.getContentType(), "image/png", "contentType");
            expect(media.getParentSid(), picture, "parentSid");
            URI uri = URI.create(URL + "/_/api/2010-04-01/Accounts/" + ACCOUNT + "/Messages/" + picture
                + "/Media/" + media.getSid());
            byte[] bytes = plain.send(HttpRequest.newBuilder(uri).build(),
                HttpResponse.BodyHandlers.ofByteArray()).body();
            ensure(Arrays.equals(bytes, PIXEL), "the bytes differ");
        });
        check("the picture is on the phone", () -> {
            JsonNode thread = threadOf("+14155550109");
            expect(thread.size(), 1, "messages");
            expect(thread.get(0).get("body").asText(), "Look", "body");
            expect(thread.get(0).get("media").size(), 1, "media");
        });
        check("STOP blocks further messages", () -> {
            delivered(send("+14155550110", "Welcome").getSid());
            typeOn("+14155550110", "STOP");
            refused(21610, 400, () -> send("+14155550110", "Still there?"));
        });
        check("START allows them again", () -> {
            typeOn("+14155550110", "START");
            delivered(send("+14155550110", "Welcome back").getSid());
            boolean arrived = false;
            for (JsonNode line : threadOf("+14155550110")) {
                arrived |= line.get("body").asText().equals("Welcome back");
            }
            ensure(arrived, "not on the phone");
        });
    }
}
