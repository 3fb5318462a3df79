import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

public class WithHttpClient {
    public static void main(String[] args) throws Exception {
        HttpRequest request =
                HttpRequest.newBuilder(URI.create(Form.url()))
                        .header("Authorization", Form.authorization())
                        .header("Content-Type", "application/x-www-form-urlencoded")
                        .POST(HttpRequest.BodyPublishers.ofString(Form.body(args[0])))
                        .build();
        HttpResponse<String> response =
                HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
        System.out.println("reached " + Form.sid(response.body()));
    }
}
