import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** What the clients without an SDK send, and how they read the answer. */
class Form {
    private static final Pattern SID = Pattern.compile("\"sid\": *\"(SM[0-9a-f]{32})\"");

    static String url() {
        String account = System.getenv("TWILIO_ACCOUNT_SID");
        return "https://api.twilio.com/2010-04-01/Accounts/" + account + "/Messages.json";
    }

    static String authorization() {
        String login = System.getenv("TWILIO_ACCOUNT_SID") + ":" + System.getenv("TWILIO_AUTH_TOKEN");
        return "Basic " + Base64.getEncoder().encodeToString(login.getBytes(StandardCharsets.UTF_8));
    }

    static String body(String text) {
        return "From=" + encode(System.getenv("TWILIO_PHONE_NUMBER"))
                + "&To=" + encode("+15005550006")
                + "&Body=" + encode(text);
    }

    static String sid(String answer) {
        Matcher found = SID.matcher(answer);
        if (!found.find()) {
            throw new IllegalStateException(answer);
        }
        return found.group(1);
    }

    private static String encode(String text) {
        return URLEncoder.encode(text, StandardCharsets.UTF_8);
    }
}
