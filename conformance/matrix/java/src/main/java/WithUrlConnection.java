import java.net.HttpURLConnection;
import java.net.URL;
import java.nio.charset.StandardCharsets;

public class WithUrlConnection {
    public static void main(String[] args) throws Exception {
        HttpURLConnection connection = (HttpURLConnection) new URL(Form.url()).openConnection();
        connection.setRequestMethod("POST");
        connection.setRequestProperty("Authorization", Form.authorization());
        connection.setDoOutput(true);
        connection.getOutputStream().write(Form.body(args[0]).getBytes(StandardCharsets.UTF_8));
        byte[] answer = connection.getInputStream().readAllBytes();
        System.out.println("reached " + Form.sid(new String(answer, StandardCharsets.UTF_8)));
    }
}
