import com.twilio.Twilio;
import com.twilio.rest.api.v2010.account.Message;
import com.twilio.type.PhoneNumber;

public class WithTwilio {
    public static void main(String[] args) {
        Twilio.init(System.getenv("TWILIO_ACCOUNT_SID"), System.getenv("TWILIO_AUTH_TOKEN"));
        Message message =
                Message.creator(
                                new PhoneNumber("+15005550006"),
                                new PhoneNumber(System.getenv("TWILIO_PHONE_NUMBER")),
                                args[0])
                        .create();
        System.out.println("reached " + message.getSid());
    }
}
